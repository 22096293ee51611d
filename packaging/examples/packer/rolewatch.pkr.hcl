# An image with rolewatch: it monitors from the first minute, also if IMDS is off and gives no user-data.
# The image contains no role. Each instance names its role by the tag expected-role, which rolewatch reads through IMDS
# (instance_metadata_tags = "enabled").

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2"
    }
  }
}

variable "source_ami" {
  description = "The base image: Debian or Ubuntu. (For others, use dnf instead of apt-get.)"
  type        = string
}

variable "deb" {
  description = "The package, as a file on this machine."
  type        = string
}

source "amazon-ebs" "app" {
  source_ami    = var.source_ami
  instance_type = "t3.micro"
  ssh_username  = "admin"
  ami_name      = "app-{{timestamp}}"
  imds_support  = "v2.0"
}

build {
  sources = ["source.amazon-ebs.app"]

  provisioner "file" {
    source      = var.deb
    destination = "/tmp/rolewatch.deb"
  }

  provisioner "shell" {
    execute_command = "sudo sh -eu '{{.Path}}'"
    inline = [
      "mkdir -p /etc/rolewatch/conf.d",
      "printf '[expect]\\nrole_tag = \"expected-role\"\\n' >/etc/rolewatch/conf.d/10-image.toml",
      "apt-get update",
      "DEBIAN_FRONTEND=noninteractive apt-get --yes install /tmp/rolewatch.deb",
      # The daemon started, and learned about the build instance: remove that from the image.
      "systemctl stop rolewatch.service",
      "rm -rf /var/lib/rolewatch /tmp/rolewatch.deb",
      "systemctl is-enabled rolewatch.service",
    ]
  }
}
