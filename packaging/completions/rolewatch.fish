# Made by `make generate`, with shtab (https://github.com/tqdm/shtab, Apache-2.0), of the parser of rolewatch.


# Parse current commandline:
# - _shtab_rolewatch_cmdpath=(sub)command path seen so far
# - _shtab_rolewatch_npos=number of positional arguments given after it
# - options are skipped based on _shtab_rolewatch_opts_with_value & _shtab_rolewatch_commands lists
function _shtab_rolewatch_scan
  set -g _shtab_rolewatch_cmdpath ''
  set -g _shtab_rolewatch_npos 0
  set -l tokens (commandline -opc)
  set -e tokens[1]
  set -l expect_value 0
  for t in $tokens
    if test $expect_value -eq 1
      set expect_value 0
      continue
    end
    switch "$t"
      case '--*=*'
        continue
      case '-*'
        if contains -- $t $_shtab_rolewatch_opts_with_value
          set expect_value 1
        end
        continue
      case '*'
        if test $_shtab_rolewatch_npos -eq 0
          set -l candidate $t
          if test -n "$_shtab_rolewatch_cmdpath"
            set candidate "$_shtab_rolewatch_cmdpath $t"
          end
          if contains -- $candidate $_shtab_rolewatch_commands
            set -g _shtab_rolewatch_cmdpath $candidate
            continue
          end
        end
        set -g _shtab_rolewatch_npos (math $_shtab_rolewatch_npos + 1)
    end
  end
end

# Condition helper: true if the current (sub)command path equals the given one.
function _shtab_rolewatch_using
  _shtab_rolewatch_scan
  test "$_shtab_rolewatch_cmdpath" = "$argv"
end

set -g _shtab_rolewatch_commands run status check diagnose preflight 'preflight launch' 'preflight attach-role' 'preflight visible' explain history rules config 'config check' 'config show' simulate demo
set -g _shtab_rolewatch_opts_with_value --config --control --directory --down --endpoint --expect-role --expiring --file --fleet-hosts --fleet-share --for --format --image-id --instance-id --instance-profile --instance-type --listen --output --pid --poll-failures --principal --profile --reason --region --role --runbooks --selector --since --speed --subnet-id --textfile --uid --unit --user --user-data

complete -c rolewatch -e
complete -c rolewatch -f

complete -c rolewatch -n _shtab_rolewatch_using -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n _shtab_rolewatch_using -l version -d 'print the version and exit'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a run -d 'run the daemon'
complete -c rolewatch -n '_shtab_rolewatch_using run' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using run' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'settings file (default: /etc/rolewatch/rolewatch.toml)'
complete -c rolewatch -n '_shtab_rolewatch_using run' -l endpoint -x -d 'IMDS to poll (default: the well-known address)'
complete -c rolewatch -n '_shtab_rolewatch_using run' -l expect-role -x -d 'expected role; * and ? are wildcards; may be repeated'
complete -c rolewatch -n '_shtab_rolewatch_using run' -l listen -x -d 'address of the HTTP endpoint (default: 127.0.0.1:10169)'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a status -d 'show what the running daemon says'
complete -c rolewatch -n '_shtab_rolewatch_using status' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using status' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'settings file (default: /etc/rolewatch/rolewatch.toml)'
complete -c rolewatch -n '_shtab_rolewatch_using status' -l listen -x -d 'where the daemon listens (default: as set, or 127.0.0.1:10169)'
complete -c rolewatch -n '_shtab_rolewatch_using status' -l json -d 'print the status document, as /status.json serves it'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a check -d 'poll once, and say what is wrong and how to fix it'
complete -c rolewatch -n '_shtab_rolewatch_using check' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using check' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'settings file (default: /etc/rolewatch/rolewatch.toml)'
complete -c rolewatch -n '_shtab_rolewatch_using check' -l endpoint -x -d 'IMDS to poll (default: the well-known address)'
complete -c rolewatch -n '_shtab_rolewatch_using check' -l expect-role -x -d 'expected role; * and ? are wildcards; may be repeated'
complete -c rolewatch -n '_shtab_rolewatch_using check' -l format -xka "text json nagios" -d 'what to print (default: text)'
complete -c rolewatch -n '_shtab_rolewatch_using check' -l json -d 'the same as --format json'
complete -c rolewatch -n '_shtab_rolewatch_using check' -l textfile -x -d 'write metrics to PATH, which ends in .prom, for node_exporter, and print nothing: for a timer instead of the daemon'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a diagnose -d 'find the root cause, with the AWS API, and its fix'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'settings file (default: /etc/rolewatch/rolewatch.toml)'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l endpoint -x -d 'IMDS to poll (default: the well-known address)'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l expect-role -x -d 'expected role; * and ? are wildcards; may be repeated'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l instance-id -x -d 'diagnose this instance from elsewhere, with the AWS API only'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l unit -x -d 'judge as this systemd unit: its variables, files and network'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l pid -x -d 'judge as this process'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l all-units -d 'judge as each systemd service that runs, too'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l user -x -d 'judge as the programs of this user, by its files'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l region -x -d 'Region of the instance (default: from IMDS or the AWS configuration)'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l profile -x -d 'profile of the AWS configuration for the calls to AWS'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l json -d 'print JSON (docs/diagnose.schema.json)'
complete -c rolewatch -n '_shtab_rolewatch_using diagnose' -l output -xka "(__fish_complete_path (commandline -ct))" -d 'write the JSON to FILE, as the daemon reads it'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a preflight -d 'see whether a launch or a role would work, before it is tried'
complete -c rolewatch -n '_shtab_rolewatch_using preflight' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using preflight; and test $_shtab_rolewatch_npos -eq 0' -a launch -d 'may instances be launched with this instance profile?'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l principal -x -d 'user or role whose permissions are asked for (default: yours)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l region -x -d 'the Region to ask (default: that of the AWS configuration)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l profile -x -d 'the profile of the AWS configuration to ask AWS with'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l json -d 'print JSON (docs/preflight.md)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'settings file, for the IMDS to ask for credentials'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l endpoint -x -d 'IMDS to ask for credentials where there are no others'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l instance-profile -x -d 'the instance profile, by name or ARN'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l image-id -x -d 'image for the dry run; without it there is none'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l instance-type -x -d 'default: t3.micro'
complete -c rolewatch -n '_shtab_rolewatch_using preflight launch' -l subnet-id -x -d 'default: the default subnet'
complete -c rolewatch -n '_shtab_rolewatch_using preflight; and test $_shtab_rolewatch_npos -eq 0' -a attach-role -d 'may this role be put into this instance profile?'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -l principal -x -d 'user or role whose permissions are asked for (default: yours)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -l region -x -d 'the Region to ask (default: that of the AWS configuration)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -l profile -x -d 'the profile of the AWS configuration to ask AWS with'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -l json -d 'print JSON (docs/preflight.md)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'settings file, for the IMDS to ask for credentials'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -l endpoint -x -d 'IMDS to ask for credentials where there are no others'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -l instance-profile -x -d 'the instance profile, by name or ARN'
complete -c rolewatch -n '_shtab_rolewatch_using preflight attach-role' -l role -x -d 'the role, by name or ARN'
complete -c rolewatch -n '_shtab_rolewatch_using preflight; and test $_shtab_rolewatch_npos -eq 0' -a visible -d 'why is this role not in the console'"'"'s list?'
complete -c rolewatch -n '_shtab_rolewatch_using preflight visible' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using preflight visible' -l principal -x -d 'user or role whose permissions are asked for (default: yours)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight visible' -l region -x -d 'the Region to ask (default: that of the AWS configuration)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight visible' -l profile -x -d 'the profile of the AWS configuration to ask AWS with'
complete -c rolewatch -n '_shtab_rolewatch_using preflight visible' -l json -d 'print JSON (docs/preflight.md)'
complete -c rolewatch -n '_shtab_rolewatch_using preflight visible' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'settings file, for the IMDS to ask for credentials'
complete -c rolewatch -n '_shtab_rolewatch_using preflight visible' -l endpoint -x -d 'IMDS to ask for credentials where there are no others'
complete -c rolewatch -n '_shtab_rolewatch_using preflight visible' -l role -x -d 'the role, by name or ARN'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a explain -d 'say what a fault means, and how to fix it'
complete -c rolewatch -n '_shtab_rolewatch_using explain' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using explain' -l reason -xka "AccessDenied ambiguous blackhole confined connect_timeout empty filtered forbidden host_unreachable local_address no_answer no_free_port no_ipv4 no_route none not_ec2 other_instance prohibited proxy refused rejected reset server_error switched_off throttled unauthorized unexpected_status wrong_route" -d 'only this reason of the fault, as its evidence names it'
complete -c rolewatch -n '_shtab_rolewatch_using explain' -l format -xka "text markdown json" -d 'what to print (default: text)'
complete -c rolewatch -n '_shtab_rolewatch_using explain; and test $_shtab_rolewatch_npos -eq 0' -ka "imds_unreachable imds_hop_limit imds_disabled imds_intercepted imds_error instance_profile_detached instance_profile_not_found instance_profile_without_role credentials_missing assume_role_unauthorized credentials_error credentials_expired rotation_overdue role_mismatch clock_skew credentials_rejected instance_profile_replaced role_swap_pending trust_policy_denies_ec2 credentials_overridden" -d 'name of a fault, as metric and journal have it'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a history -d 'show what happened, from the journal'
complete -c rolewatch -n '_shtab_rolewatch_using history' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using history' -l since -x -d 'how far back: 90m, 2h30m, 7d (default: 7d; all of it with --file or --directory)'
complete -c rolewatch -n '_shtab_rolewatch_using history' -l json -d 'print a JSON object for each event: docs/journal.md'
complete -c rolewatch -n '_shtab_rolewatch_using history' -l directory -xka "(__fish_complete_directories)" -d 'read the journal files of a directory'
complete -c rolewatch -n '_shtab_rolewatch_using history' -l file -xka "(__fish_complete_path (commandline -ct))" -d 'read a journal file; may be repeated'
complete -c rolewatch -n '_shtab_rolewatch_using history' -l unit -x -d 'the unit of the daemon; may be repeated (default: rolewatch.service)'
complete -c rolewatch -n '_shtab_rolewatch_using history' -l uid -x -d 'the user of the daemon, by name or number; may be repeated (default: rolewatch and root; any with --file or --directory, because other machines have other numbers)'
complete -c rolewatch -n '_shtab_rolewatch_using history' -l unverified -d 'show the entries of every writer: any local user can have forged them, and the commands in them'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a rules -d 'print the alerting rules for Prometheus'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -l selector -x -d 'label matchers of rolewatch'"'"'s series (default: job="rolewatch")'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -l runbooks -x -d 'address of the runbooks (default: the project'"'"'s)'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -l expiring -x -d 'time before the expiration at which unrotated credentials are critical (default: 15m)'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -l poll-failures -x -d 'share of polls that may fail in half an hour (default: 0.2)'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -l down -x -d 'share of agents that may be down before the alert is about the fleet (default: 0.2)'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -l fleet-hosts -x -d 'number of instances with a fault at which the alert is about the fleet (default: 10)'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -l fleet-share -x -d 'share of instances with a fault at which the alert is about the fleet (default: 0.05)'
complete -c rolewatch -n '_shtab_rolewatch_using rules' -l no-keep-firing-for -d 'leave out keep_firing_for, for Prometheus before 2.42'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a config -d 'check or show the settings'
complete -c rolewatch -n '_shtab_rolewatch_using config' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using config; and test $_shtab_rolewatch_npos -eq 0' -a check -d 'print every mistake with its place'
complete -c rolewatch -n '_shtab_rolewatch_using config check' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using config check' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'read this file alone (default: /etc/rolewatch/rolewatch.toml and conf.d/*.toml beside it)'
complete -c rolewatch -n '_shtab_rolewatch_using config; and test $_shtab_rolewatch_npos -eq 0' -a show -d 'show the settings in force'
complete -c rolewatch -n '_shtab_rolewatch_using config show' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using config show' -l json -d 'print JSON'
complete -c rolewatch -n '_shtab_rolewatch_using config show' -l toml -d 'print a settings file'
complete -c rolewatch -n '_shtab_rolewatch_using config show' -l config -xka "(__fish_complete_path (commandline -ct))" -d 'read this file alone (default: /etc/rolewatch/rolewatch.toml and conf.d/*.toml beside it)'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a simulate -d 'run a simulated IMDS with every fault, for tests'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l list -d 'list the scenarios and exit'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l format -xka "text markdown json" -d 'of --list (default: text)'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l listen -x -d 'address of the IMDS (default: 127.0.0.1:1338)'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l control -x -d 'address of the control port, or none (default: 127.0.0.1:1339)'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l speed -x -d 'expire and rotate credentials N times as fast (default: 1)'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l role -x -d 'name of the role (default: web-server)'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l instance-profile -x -d 'name of the instance profile (default: as the role)'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l user-data -xka "(__fish_complete_path (commandline -ct))" -d 'serve FILE as the instance'"'"'s user-data, for cloud-init (default: none)'
complete -c rolewatch -n '_shtab_rolewatch_using simulate' -l allow-non-loopback -d 'allow addresses that are neither loopback nor link-local'
complete -c rolewatch -n '_shtab_rolewatch_using simulate; and test $_shtab_rolewatch_npos -eq 0' -ka "healthy assume_role_unauthorized instance_profile_without_role instance_profile_without_role_empty_listing instance_profile_without_role_early instance_profile_not_found instance_profile_not_found_early instance_profile_detached credentials_missing credentials_missing_no_listing credentials_error credentials_incomplete credentials_blank rotation_overdue credentials_expired credentials_expired_short_lived role_mismatch clock_skew imds_unreachable imds_hop_limit imds_disabled imds_intercepted imds_intercepted_role_proxy imds_intercepted_emulator imds_intercepted_serving_proxy imds_proxy_without_backend imds_unauthorized imds_throttled imds_unavailable imds_server_error imds_empty imds_malformed imds_html imds_truncated imds_info_malformed two_roles starting starting_without_credentials role_swapped other_profile_name odd_role_name rotation_stopped late_rotation short_lived clock_a_day_ahead clock_a_day_behind container_roles container_roles_only hop_limit_of_one instance_tags lower_case_keys compact_json without_code trailing_newline slow one_unauthorized imdsv1_answered silent drip reset not_http invalid_utf8 huge redirect gzip_nonsense endless_headers" -d 'first scenario (default: healthy)'
complete -c rolewatch -n '_shtab_rolewatch_using; and test $_shtab_rolewatch_npos -eq 0' -a demo -d 'watch a simulated IMDS go through its faults'
complete -c rolewatch -n '_shtab_rolewatch_using demo' -s h -l help -d 'show this help message and exit'
complete -c rolewatch -n '_shtab_rolewatch_using demo' -l for -x -d 'run for this time (default: each fault once, about two minutes)'
complete -c rolewatch -n '_shtab_rolewatch_using demo' -l listen -x -d 'address of the HTTP endpoint'
