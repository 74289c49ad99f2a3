#!/bin/sh
# exports.sh NM LIBRARY...
#
# A shared library defines for others what is public in sockserv, and nothing of what it is made of. (Weak symbols of
# others are inline functions and templates that their headers want to be the same in the whole program.)
set -eu
nm=$1
shift

exported() { LC_ALL=C "$nm" --dynamic --demangle --defined-only "$@" | sed -nE 's/^[0-9a-f]+ //p'; }
of='((vtable|typeinfo|typeinfo name) for )?sockserv::'

for library; do
  symbols=$(exported "$library")
  printf '%s\n' "$symbols" | grep -qE "^T sockserv::" || { echo "$library exports nothing of sockserv"; exit 1; }
  leaks=$(printf '%s\n' "$symbols" | grep -vE "^([WVu] |[TDRB] $of)" || true)
  leaks=$leaks$(printf '%s\n' "$symbols" | grep -E "^. $of(abi_[0-9]+::)?(fiber|layer)::" || true)
  [ -z "$leaks" ] || { printf '%s exports what is not public in sockserv:\n%s\n' "$library" "$leaks"; exit 1; }
  unnumbered=$(printf '%s\n' "$symbols" | grep -E "^[TDRB] $of" | grep -vE "^. ${of}abi_[0-9]+::" || true)
  [ -z "$unnumbered" ] || { printf '%s exports what has no number of the ABI:\n%s\n' "$library" "$unnumbered"; exit 1; }
done
