package transport

import (
	"iter"
	"net/http"
	"strings"
)

// A challenge is one way in which a server asks for authentication: RFC 9110 section 11.6.1.
type challenge struct {
	scheme string
	params map[string]string // by lower-case name; nil if there are none
}

// maxChallenges bounds how many challenges of one response are looked at.
const maxChallenges = 64

// challenges returns the challenges of all WWW-Authenticate headers. The comma separates both challenges and the parameters
// within one, so where one challenge ends shows only in what follows the comma: a token and then "=" is a parameter, a
// token and then anything else begins a challenge. What can't be read ends the header that it stands in.
func challenges(h http.Header) iter.Seq[challenge] {
	return func(yield func(challenge) bool) {
		n := 0
		for _, v := range h.Values("WWW-Authenticate") {
			p := challengeParser{rest: v}
			for {
				c, ok := p.next()
				if !ok {
					break
				}
				if n++; n > maxChallenges || !yield(c) {
					return
				}
			}
		}
	}
}

type challengeParser struct{ rest string }

// next reads a challenge: a scheme, and then either a token68 or parameters.
func (p *challengeParser) next() (challenge, bool) {
	p.skip(" \t,")
	c := challenge{scheme: p.token()}
	if c.scheme == "" {
		return c, false
	}
	if !p.skip(" \t") {
		// Nothing may follow a scheme directly but a comma or the end.
		return c, p.rest == "" || p.rest[0] == ','
	}
	if p.token68() {
		return c, true
	}
	for {
		before := p.rest
		name, value, ok := p.param()
		if !ok {
			p.rest = before
			return c, true
		}
		if c.params == nil {
			c.params = make(map[string]string)
		}
		if name = strings.ToLower(name); c.params[name] == "" {
			c.params[name] = value
		}
		p.skip(" \t")
		if p.rest != "" && p.rest[0] != ',' {
			p.rest = "" // not a list any more
			return c, true
		}
		p.skip(" \t,")
	}
}

// param reads name=value, the value a token or a quoted string.
func (p *challengeParser) param() (name, value string, ok bool) {
	name = p.token()
	p.skip(" \t")
	if name == "" || !strings.HasPrefix(p.rest, "=") {
		return "", "", false
	}
	p.rest = p.rest[1:]
	p.skip(" \t")
	if strings.HasPrefix(p.rest, `"`) {
		value, ok = p.quoted()
		return name, value, ok
	}
	value = p.token()
	return name, value, value != ""
}

// quoted reads a quoted string with its escapes.
func (p *challengeParser) quoted() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case '\\':
			if i++; i == len(p.rest) {
				return "", false
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// token68 skips the blob that Negotiate, NTLM and some Basic dialects carry, if the next thing is one: it reaches to a comma
// or to the end, and any "=" in it is at its end.
func (p *challengeParser) token68() bool {
	end := strings.IndexByte(p.rest, ',')
	if end < 0 {
		end = len(p.rest)
	}
	blob := strings.TrimRight(strings.TrimRight(p.rest[:end], " \t"), "=")
	if blob == "" || strings.ContainsFunc(blob, func(r rune) bool { return !isTokenChar(r) && r != '/' }) {
		return false
	}
	p.rest = p.rest[end:]
	return true
}

func (p *challengeParser) token() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool { return !isTokenChar(r) })
	if end < 0 {
		end = len(p.rest)
	}
	t := p.rest[:end]
	p.rest = p.rest[end:]
	return t
}

// skip drops leading characters of cut and reports whether there were any.
func (p *challengeParser) skip(cut string) bool {
	rest := strings.TrimLeft(p.rest, cut)
	some := len(rest) < len(p.rest)
	p.rest = rest
	return some
}

// isTokenChar is RFC 9110 section 5.6.2's tchar.
func isTokenChar(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
}
