#!/usr/bin/env bash
# check.sh SOURCE COMPILER ARGUMENT...
#
# Compiles a source whose first lines say what the compiler must answer, as extended regular expressions:
#
#     // error: what the first error must say
#     // note: what must be said anywhere (optional)
#
# Without them the source must compile. More than three errors are more than anyone wants to read.
set -euo pipefail
source=$1
shift

expected() { sed -n "s|^// $1: ||p" "$source"; }
fail() {
  printf '%s\n' "$(basename "$source"): $1" "$output"
  exit 1
}

status=0
output=$(LC_ALL=C "$@" -fsyntax-only "$source" 2>&1) || status=$?
errors=$(grep 'error:' <<<"$output" || true)

if [[ -z $(expected error) ]]; then
  ((status == 0)) || fail 'must compile'
  exit
fi
((status != 0)) || fail 'must not compile'
head -n 1 <<<"$errors" | grep -qE "$(expected error)" || fail "the first error must say: $(expected error)"
grep -qE "$(expected note)" <<<"$output" || fail "a note must say: $(expected note)"
(($(wc -l <<<"$errors") <= 3)) || fail 'too many errors'
