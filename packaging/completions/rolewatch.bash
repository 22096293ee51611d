# Made by `make generate`, with shtab (https://github.com/tqdm/shtab, Apache-2.0), of the parser of rolewatch.

_shtab_rolewatch_preflight_subparsers=(launch attach-role visible)
_shtab_rolewatch_config_subparsers=(check show)
_shtab_rolewatch_subparsers=(run status check diagnose preflight explain history rules config simulate demo)

_shtab_rolewatch_run_option_strings=(-h --help --config --endpoint --expect-role --listen)
_shtab_rolewatch_status_option_strings=(-h --help --config --listen --json)
_shtab_rolewatch_check_option_strings=(-h --help --config --endpoint --expect-role --format --json --textfile)
_shtab_rolewatch_diagnose_option_strings=(-h --help --config --endpoint --expect-role --instance-id --unit --pid --all-units --user --region --profile --json --output)
_shtab_rolewatch_preflight_launch_option_strings=(-h --help --principal --region --profile --json --config --endpoint --instance-profile --image-id --instance-type --subnet-id)
_shtab_rolewatch_preflight_attach_role_option_strings=(-h --help --principal --region --profile --json --config --endpoint --instance-profile --role)
_shtab_rolewatch_preflight_visible_option_strings=(-h --help --principal --region --profile --json --config --endpoint --role)
_shtab_rolewatch_preflight_option_strings=(-h --help)
_shtab_rolewatch_explain_option_strings=(-h --help --reason --format)
_shtab_rolewatch_history_option_strings=(-h --help --since --json --directory --file --unit --uid --unverified)
_shtab_rolewatch_rules_option_strings=(-h --help --selector --runbooks --expiring --poll-failures --down --fleet-hosts --fleet-share --no-keep-firing-for)
_shtab_rolewatch_config_check_option_strings=(-h --help --config)
_shtab_rolewatch_config_show_option_strings=(-h --help --json --toml --config)
_shtab_rolewatch_config_option_strings=(-h --help)
_shtab_rolewatch_simulate_option_strings=(-h --help --list --format --listen --control --speed --role --instance-profile --user-data --allow-non-loopback)
_shtab_rolewatch_demo_option_strings=(-h --help --for --listen)
_shtab_rolewatch_option_strings=(-h --help --version)

_shtab_rolewatch_run___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_status___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_check___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_diagnose___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_diagnose___output_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_preflight_launch___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_preflight_attach_role___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_preflight_visible___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_history___directory_COMPGEN=_shtab_compgen_dirs
_shtab_rolewatch_history___file_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_config_check___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_config_show___config_COMPGEN=_shtab_compgen_files
_shtab_rolewatch_simulate___user_data_COMPGEN=_shtab_compgen_files

_shtab_rolewatch_check___format_choices=(text json nagios)
_shtab_rolewatch_preflight_pos_0_choices=(launch attach-role visible)
_shtab_rolewatch_explain_pos_0_choices=(imds_unreachable imds_hop_limit imds_disabled imds_intercepted imds_error instance_profile_detached instance_profile_not_found instance_profile_without_role credentials_missing assume_role_unauthorized credentials_error credentials_expired rotation_overdue role_mismatch clock_skew credentials_rejected instance_profile_replaced role_swap_pending trust_policy_denies_ec2 credentials_overridden)
_shtab_rolewatch_explain___reason_choices=(AccessDenied ambiguous blackhole confined connect_timeout empty filtered forbidden host_unreachable local_address no_answer no_free_port no_ipv4 no_route none not_ec2 other_instance prohibited proxy refused rejected reset server_error switched_off throttled unauthorized unexpected_status wrong_route)
_shtab_rolewatch_explain___format_choices=(text markdown json)
_shtab_rolewatch_config_pos_0_choices=(check show)
_shtab_rolewatch_simulate_pos_0_choices=(healthy assume_role_unauthorized instance_profile_without_role instance_profile_without_role_empty_listing instance_profile_without_role_early instance_profile_not_found instance_profile_not_found_early instance_profile_detached credentials_missing credentials_missing_no_listing credentials_error credentials_incomplete credentials_blank rotation_overdue credentials_expired credentials_expired_short_lived role_mismatch clock_skew imds_unreachable imds_hop_limit imds_disabled imds_intercepted imds_intercepted_role_proxy imds_intercepted_emulator imds_intercepted_serving_proxy imds_proxy_without_backend imds_unauthorized imds_throttled imds_unavailable imds_server_error imds_empty imds_malformed imds_html imds_truncated imds_info_malformed two_roles starting starting_without_credentials role_swapped other_profile_name odd_role_name rotation_stopped late_rotation short_lived clock_a_day_ahead clock_a_day_behind container_roles container_roles_only hop_limit_of_one instance_tags lower_case_keys compact_json without_code trailing_newline slow one_unauthorized imdsv1_answered silent drip reset not_http invalid_utf8 huge redirect gzip_nonsense endless_headers)
_shtab_rolewatch_simulate___format_choices=(text markdown json)
_shtab_rolewatch_pos_0_choices=(run status check diagnose preflight explain history rules config simulate demo)

_shtab_rolewatch_run__h_nargs=0
_shtab_rolewatch_run___help_nargs=0
_shtab_rolewatch_status__h_nargs=0
_shtab_rolewatch_status___help_nargs=0
_shtab_rolewatch_status___json_nargs=0
_shtab_rolewatch_check__h_nargs=0
_shtab_rolewatch_check___help_nargs=0
_shtab_rolewatch_check___json_nargs=0
_shtab_rolewatch_diagnose__h_nargs=0
_shtab_rolewatch_diagnose___help_nargs=0
_shtab_rolewatch_diagnose___all_units_nargs=0
_shtab_rolewatch_diagnose___json_nargs=0
_shtab_rolewatch_preflight_launch__h_nargs=0
_shtab_rolewatch_preflight_launch___help_nargs=0
_shtab_rolewatch_preflight_launch___json_nargs=0
_shtab_rolewatch_preflight_attach_role__h_nargs=0
_shtab_rolewatch_preflight_attach_role___help_nargs=0
_shtab_rolewatch_preflight_attach_role___json_nargs=0
_shtab_rolewatch_preflight_visible__h_nargs=0
_shtab_rolewatch_preflight_visible___help_nargs=0
_shtab_rolewatch_preflight_visible___json_nargs=0
_shtab_rolewatch_preflight_pos_0_nargs=A...
_shtab_rolewatch_preflight__h_nargs=0
_shtab_rolewatch_preflight___help_nargs=0
_shtab_rolewatch_explain__h_nargs=0
_shtab_rolewatch_explain___help_nargs=0
_shtab_rolewatch_history__h_nargs=0
_shtab_rolewatch_history___help_nargs=0
_shtab_rolewatch_history___json_nargs=0
_shtab_rolewatch_history___unverified_nargs=0
_shtab_rolewatch_rules__h_nargs=0
_shtab_rolewatch_rules___help_nargs=0
_shtab_rolewatch_rules___no_keep_firing_for_nargs=0
_shtab_rolewatch_config_check__h_nargs=0
_shtab_rolewatch_config_check___help_nargs=0
_shtab_rolewatch_config_show__h_nargs=0
_shtab_rolewatch_config_show___help_nargs=0
_shtab_rolewatch_config_show___json_nargs=0
_shtab_rolewatch_config_show___toml_nargs=0
_shtab_rolewatch_config_pos_0_nargs=A...
_shtab_rolewatch_config__h_nargs=0
_shtab_rolewatch_config___help_nargs=0
_shtab_rolewatch_simulate__h_nargs=0
_shtab_rolewatch_simulate___help_nargs=0
_shtab_rolewatch_simulate___list_nargs=0
_shtab_rolewatch_simulate___allow_non_loopback_nargs=0
_shtab_rolewatch_demo__h_nargs=0
_shtab_rolewatch_demo___help_nargs=0
_shtab_rolewatch_pos_0_nargs=A...
_shtab_rolewatch__h_nargs=0
_shtab_rolewatch___help_nargs=0
_shtab_rolewatch___version_nargs=0


# $1=COMP_WORDS[1]
_shtab_compgen_files() {
  compgen -f -- $1  # files
}

# $1=COMP_WORDS[1]
_shtab_compgen_dirs() {
  compgen -d -- $1  # recurse into subdirs
}

# $1=COMP_WORDS[1]
_shtab_replace_nonword() {
  echo "${1//[^[:word:]]/_}"
}

# set default values (called for the initial parser & any subparsers)
_set_parser_defaults() {
  local subparsers_var="${prefix}_subparsers[@]"
  sub_parsers=${!subparsers_var-}

  local current_option_strings_var="${prefix}_option_strings[@]"
  current_option_strings=${!current_option_strings_var}

  completed_positional_actions=0

  _set_new_action "pos_$completed_positional_actions" true
}

# $1=action identifier
# $2=positional action (bool)
# set all identifiers for an action's parameters
_set_new_action() {
  current_action="${prefix}_$(_shtab_replace_nonword $1)"

  local current_action_compgen_var=${current_action}_COMPGEN
  current_action_compgen="${!current_action_compgen_var-}"

  local current_action_choices_var="${current_action}_choices[@]"
  current_action_choices="${!current_action_choices_var-}"

  local current_action_nargs_var="${current_action}_nargs"
  if [ -n "${!current_action_nargs_var-}" ]; then
    current_action_nargs="${!current_action_nargs_var}"
  else
    current_action_nargs=1
  fi

  current_action_args_start_index=$(( $word_index + 1 - $pos_only ))

  current_action_is_positional=$2
}

# Notes:
# `COMPREPLY`: what will be rendered after completion is triggered
# `completing_word`: currently typed word to generate completions for
# `${!var}`: evaluates the content of `var` and expand its content as a variable
#     hello="world"
#     x="hello"
#     ${!x} -> ${hello} -> "world"
_shtab_rolewatch() {
  local completing_word="${COMP_WORDS[COMP_CWORD]}"
  local previous_word="${COMP_WORDS[COMP_CWORD-1]}"
  local completed_positional_actions
  local current_action
  local current_action_args_start_index
  local current_action_choices
  local current_action_compgen
  local current_action_is_positional
  local current_action_nargs
  local current_option_strings
  local sub_parsers
  COMPREPLY=()

  local prefix=_shtab_rolewatch
  local word_index=0
  local pos_only=0 # "--" delimiter not encountered yet
  _set_parser_defaults
  word_index=1

  # determine what arguments are appropriate for the current state
  # of the arg parser
  while [ $word_index -ne $COMP_CWORD ]; do
    local this_word="${COMP_WORDS[$word_index]}"

    if [[ $pos_only = 1 || " $this_word " != " -- " ]]; then
      if [[ -n $sub_parsers && " ${sub_parsers[@]} " == *" $this_word "* ]]; then
        # valid subcommand: add it to the prefix & reset the current action
        prefix="${prefix}_$(_shtab_replace_nonword $this_word)"
        _set_parser_defaults
      fi

      if [[ " ${current_option_strings[@]} " == *" $this_word "* ]]; then
        # a new action should be acquired (due to recognised option string or
        # no more input expected from current action);
        # the next positional action can fill in here
        _set_new_action $this_word false
      fi

      if [[ "$current_action_nargs" != "*" ]] && \
         [[ "$current_action_nargs" != "+" ]] && \
         [[ "$current_action_nargs" != "?" ]] && \
         [[ "$current_action_nargs" != *"..." ]] && \
         (( $word_index + 1 - $current_action_args_start_index - $pos_only >= \
            $current_action_nargs )); then
        $current_action_is_positional && let "completed_positional_actions += 1"
        _set_new_action "pos_$completed_positional_actions" true
      fi
    else
      pos_only=1 # "--" delimiter encountered
    fi

    let "word_index+=1"
  done

  # Generate the completions

  COMPREPLY=()
  if [[ $pos_only = 0 && "$completing_word" == -* &&
        ( -z "$current_action_compgen" || "$current_action_is_positional" = true ) ]]; then
    # optional argument started: use option strings
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
      compgen -W "${current_option_strings[*]}" -- "$completing_word")
  elif [[ "$previous_word" =~ ^[0-9\&]*[\<\>]\>?$ ]]; then
    # handle redirection operators
    compopt -o filenames 2>/dev/null || : # bash>=4
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$completing_word")
  else
    # use choices & compgen
    local action_compgen_word="$completing_word"
    # handle tab-completing in the middle of a line (#248 <- #116)
    [[ -n "$current_action_compgen" && "$completing_word" == -* ]] && action_compgen_word=""
    [ -n "$current_action_compgen" ] && {
      [[ "$current_action_compgen" =~ _(file|dir|glob|FILE|DIR|GLOB)|File|Dir|Glob ]] &&
        compopt -o filenames 2>/dev/null || : # bash>=4
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
        "$current_action_compgen" "$action_compgen_word")
    }
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
      compgen -W "${current_action_choices[*]}" -- "$completing_word")
  fi

  if [[ ${#COMPREPLY[@]} = 0 ]]; then
    # native fallback matches are not necessarily filenames (e.g. variables)
    compopt +o filenames 2>/dev/null || : # bash>=4
  fi

  return 0
}

complete -o bashdefault -F _shtab_rolewatch rolewatch
