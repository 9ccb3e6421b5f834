# Turns the part of cloud-config that this guest knows into a shell script: hostname, fqdn, password, runcmd (strings and lists), and
# write_files with path, content (plain or a block) and permissions. Everything else is passed over.
function unquote(text) {
  sub(/^[ \t]+/, "", text); sub(/[ \t\r]+$/, "", text)
  if (text ~ /^".*"$/ || text ~ /^'.*'$/) text = substr(text, 2, length(text) - 2)
  return text
}
function quote(text) { gsub(/'/, "'\\''", text); return "'" text "'" }
function end_file() {
  if (path == "") return
  print "mkdir -p \"$(dirname " quote(path) ")\""
  print "printf '%s' " quote(content) " >" quote(path)
  if (mode != "") print "chmod " quote(mode) " " quote(path)
  path = ""; content = ""; mode = ""; block = 0
}
function value(line) { sub(/^[^:]*:/, "", line); return unquote(line) }
function indent(line) { match(line, /^ */); return RLENGTH }
function member(line) {
  if (line ~ /^path:/) path = value(line)
  else if (line ~ /^permissions:/) mode = value(line)
  else if (line ~ /^content:/) {
    content = value(line)
    if (content ~ /^[|>][-+]?$/) { block = -1; content = "" }
  }
}
NR == 1 || /^[ \t]*#/ && !block { next }
block {
  if ($0 ~ /^[ \t]*$/) { content = content "\n"; next }
  if (block < 0) block = indent($0)
  if (indent($0) >= block) { content = content substr($0, block + 1) "\n"; next }
  block = 0
}
/^[A-Za-z_]+:/ { end_file(); section = $0; sub(/:.*/, "", section) }
/^hostname:/ { print "take_hostname " quote(value($0)); named = 1 }
/^fqdn:/ { if (!named) print "take_hostname " quote(value($0)) }
/^password:/ { print "take_password " quote(value($0)) }
section == "runcmd" && /^[ ]*- / {
  line = $0; sub(/^[ ]*- /, "", line)
  if (line ~ /^\[.*\]$/) {
    count = split(substr(line, 2, length(line) - 2), words, ",")
    command = ""
    for (i = 1; i <= count; i++) command = command quote(unquote(words[i])) " "
    print command
  } else print unquote(line)
}
section == "write_files" && /^[ ]*- / { end_file(); line = $0; sub(/^[ ]*- /, "", line); member(line); next }
section == "write_files" && /^[ ]+[a-z]+:/ { line = $0; sub(/^[ ]+/, "", line); member(line) }
END { end_file() }
