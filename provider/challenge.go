package provider

import (
	"net/http"
	"strings"
)

const (
	maxChallengeBytes = 64 << 10 // of all WWW-Authenticate headers of one answer together
	maxChallenges     = 64       // of one answer
	maxParams         = 64       // of one challenge
)

// A Challenge is one way in which a server asks for authentication (RFC 9110 section 11.6.1): a
// scheme, and then either parameters or a blob.
type Challenge struct {
	// Scheme is how to authenticate, as the server wrote it: "Bearer", "DPoP", "Basic". Compare it
	// with strings.EqualFold.
	Scheme string

	// Params are the parameters by lower-case name, such as "realm", "error", "scope" or "claims",
	// their quoting undone. Where a name comes twice the first counts. Nil if there are none.
	Params map[string]string

	// Token68 is the blob that stands in place of parameters with some schemes, such as Negotiate;
	// mostly "".
	Token68 string
}

// ParseChallenges returns the challenges of all WWW-Authenticate headers in h, in their order; nil
// if there are none.
//
// It is forgiving, because servers are careless: what can't be read ends the header in which it
// stands, and what was read of it before is kept. It is also bounded: of what a server sends it
// looks at 64 KiB, 64 challenges, and 64 parameters of each, and it leaves out a challenge that the
// first of those limits cuts in two. Nothing that it returns keeps h's memory alive.
func ParseChallenges(h http.Header) []Challenge {
	var all []Challenge
	left := maxChallengeBytes
	for _, value := range h.Values("WWW-Authenticate") {
		p := challengeParser{rest: strings.Clone(value[:min(len(value), left)])}
		cut := len(value) > left
		left -= len(p.rest)
		for len(all) < maxChallenges {
			c, ok := p.next()
			if !ok || cut && p.rest == "" {
				break
			}
			all = append(all, c)
		}
	}
	return all
}

// A challengeParser reads one header. A comma separates challenges and also the parameters within
// one, so where a challenge ends shows only in what follows the comma: a name and "=" is one more
// parameter, and anything else begins a challenge.
type challengeParser struct{ rest string }

// next reads a challenge and reports whether there is one. After what it can't read, rest is "".
func (p *challengeParser) next() (Challenge, bool) {
	p.skip(" \t,")
	c := Challenge{Scheme: p.token()}
	if c.Scheme == "" || !p.skip(" \t") && !p.atEnd() {
		p.rest = ""
		return Challenge{}, false
	}
	if c.Token68 = p.token68(); c.Token68 != "" {
		return c, true
	}
	for name := p.paramName(); name != ""; name = p.paramName() {
		value, ok := p.value()
		if !ok {
			p.rest = ""
			break
		}
		if c.Params == nil {
			c.Params = make(map[string]string)
		}
		if _, twice := c.Params[name]; !twice && len(c.Params) < maxParams {
			c.Params[name] = value
		}
		if p.skip(" \t"); !p.atEnd() {
			p.rest = ""
			break
		}
		p.skip(" \t,")
	}
	return c, true
}

// atEnd reports whether the challenge or the parameter ends here.
func (p *challengeParser) atEnd() bool { return p.rest == "" || p.rest[0] == ',' }

// token68 reads a blob, if that is what comes next, or returns "".
func (p *challengeParser) token68() string {
	n := 0
	for n < len(p.rest) && (isLetterOrDigit(p.rest[n]) || strings.IndexByte("-._~+/", p.rest[n]) >= 0) {
		n++
	}
	if n == 0 {
		return ""
	}
	for n < len(p.rest) && p.rest[n] == '=' {
		n++
	}
	after := challengeParser{p.rest[n:]}
	if after.skip(" \t"); !after.atEnd() {
		return ""
	}
	blob := p.rest[:n]
	p.rest = after.rest
	return blob
}

// paramName reads a parameter's name and the "=" after it, and returns the name in lower case. If
// something else comes next it reads nothing and returns "".
func (p *challengeParser) paramName() string {
	before := p.rest
	name := p.token()
	p.skip(" \t")
	if name == "" || !strings.HasPrefix(p.rest, "=") {
		p.rest = before
		return ""
	}
	p.rest = p.rest[1:]
	p.skip(" \t")
	return strings.ToLower(name)
}

// value reads a parameter's value: a token, or a quoted string, whose escapes it undoes.
func (p *challengeParser) value() (string, bool) {
	if !strings.HasPrefix(p.rest, `"`) {
		value := p.token()
		return value, value != ""
	}
	escaped := false
	for i := 1; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			value := p.rest[1:i]
			p.rest = p.rest[i+1:]
			if escaped {
				value = unescape(value)
			}
			return value, true
		}
	}
	return "", false
}

// unescape undoes the escapes of a quoted string (RFC 9110 section 5.6.4).
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++ // there is one more: the quote that ends the string is not escaped
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func (p *challengeParser) token() string {
	n := 0
	for n < len(p.rest) && isTokenChar(p.rest[n]) {
		n++
	}
	t := p.rest[:n]
	p.rest = p.rest[n:]
	return t
}

// skip drops leading characters of cut and reports whether there were any.
func (p *challengeParser) skip(cut string) bool {
	rest := strings.TrimLeft(p.rest, cut)
	some := len(rest) < len(p.rest)
	p.rest = rest
	return some
}

// isTokenChar reports whether c may stand in a token (RFC 9110 section 5.6.2).
func isTokenChar(c byte) bool {
	return isLetterOrDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isLetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
