# An instance with rolewatch that Prometheus can scrape. Copy the parts that you need.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "image_id" {
  description = "The image of the instance."
  type        = string
}

variable "subnet_id" {
  description = "The subnet of the instance."
  type        = string
}

variable "vpc_id" {
  description = "The VPC of that subnet."
  type        = string
}

variable "prometheus_security_group_id" {
  description = "The security group of Prometheus, which scrapes port 10169."
  type        = string
}

variable "cloud_init" {
  description = "User-data file: one of rolewatch's cloud-init examples, with every CHANGE filled in, except the role."
  type        = string
}

variable "confirm_policy" {
  description = "The file confirm-on-instance.json, if you enable rolewatch-confirm; null: disabled."
  type        = string
  default     = null
}

resource "aws_iam_role" "app" {
  name_prefix = "app-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "confirm" {
  count  = var.confirm_policy == null ? 0 : 1
  name   = "rolewatch-confirm"
  role   = aws_iam_role.app.id
  policy = file(var.confirm_policy)
}

resource "aws_iam_instance_profile" "app" {
  name_prefix = "app-"
  role        = aws_iam_role.app.name
}

resource "aws_security_group" "app" {
  name_prefix = "app-"
  description = "Instances that rolewatch watches"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "rolewatch" {
  security_group_id            = aws_security_group.app.id
  referenced_security_group_id = var.prometheus_security_group_id
  description                  = "Prometheus scrapes rolewatch"
  ip_protocol                  = "tcp"
  from_port                    = 10169
  to_port                      = 10169
}

# To fetch packages, and for rolewatch-confirm to reach the AWS API. IMDS needs no rule.
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.app.id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "Packages and the AWS API"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_instance" "app" {
  ami                    = var.image_id
  instance_type          = "t3.micro"
  subnet_id              = var.subnet_id
  vpc_security_group_ids = [aws_security_group.app.id]
  iam_instance_profile   = aws_iam_instance_profile.app.name
  # The expected role comes from this file, not from a second copy of its name.
  user_data = replace(file(var.cloud_init), "app-prod", aws_iam_role.app.name)

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # 2 if containers without the host's network use IMDS; rolewatch itself needs 1.
    http_put_response_hop_limit = 1
    # Needed if a tag names the expected role.
    instance_metadata_tags = "enabled"
  }

  tags = {
    rolewatch     = "enabled" # Prometheus discovers instances by this tag
    expected-role = aws_iam_role.app.name
  }
}
