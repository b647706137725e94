# Flattens a JSON document into lines "key/key/index<TAB>value". Values keep \n, \t and \\ escaped, so that one value is
# one line; printf %b undoes it.
{ text = text $0 "\n" }

END { at = 1; read_value("") }

function skip() {
    while (at <= length(text) && index(" \t\r\n", substr(text, at, 1))) at++
}

function read_string(   out, c) {
    out = ""
    at++
    while (at <= length(text) && (c = substr(text, at, 1)) != "\"") {
        if (c == "\\") {
            c = substr(text, ++at, 1)
            if (c == "u") {
                out = out sprintf("%c", hex(substr(text, at + 1, 4)))
                at += 4
            } else if (index("ntrbf\\", c)) {
                out = out "\\" c
            } else {
                out = out c
            }
        } else {
            out = out c
        }
        at++
    }
    at++
    return out
}

function hex(digits,   i, n) {
    for (i = 1; i <= 4; i++) n = n * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
    return n
}

function read_value(path,   c, key, n, start) {
    skip()
    c = substr(text, at, 1)
    if (c == "{" || c == "[") {
        at++
        n = 0
        for (;;) {
            skip()
            if (index("}]", substr(text, at, 1)) || at > length(text)) { at++; return }
            if (c == "{") {
                key = read_string()
                skip()
                at++
            } else {
                key = n++
            }
            read_value(path == "" ? key : path "/" key)
            skip()
            if (substr(text, at, 1) == ",") at++
        }
    }
    if (c == "\"") {
        print path "\t" read_string()
        return
    }
    start = at
    while (at <= length(text) && !index(",]} \t\r\n", substr(text, at, 1))) at++
    print path "\t" substr(text, start, at - start)
}
