package transport

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// rejectionOf returns what is worth keeping of a rejected response, as far as its body was read.
func rejectionOf(resp *http.Response, tok provider.Token) *session.Rejection {
	r := &session.Rejection{Status: resp.StatusCode, Challenges: provider.ParseChallenges(resp.Header)}
	message := ""
	if b, ok := resp.Body.(*answer); ok {
		message = messageIn(resp.Header, b.shown())
	}
	for i := 0; message == "" && i < len(r.Challenges); i++ {
		message = r.Challenges[i].Params["error_description"]
	}
	r.Message = shorten(redact(message, tok.Value()))
	return r
}

// messageIn finds the sentence in a rejected response's body that is meant for people.
func messageIn(h http.Header, body []byte) string {
	var in struct {
		Message     string `json:"message"`
		Description string `json:"error_description"`
		Error       any    `json:"error"`
	}
	if plain, whole, ok := decode(h, body); !ok || !whole || json.Unmarshal(plain, &in) != nil {
		return ""
	}
	e, _ := in.Error.(string)
	for _, s := range []string{in.Message, in.Description, e} {
		if s != "" {
			return s
		}
	}
	return ""
}

const maxMessage = 200 // of a rejected response, in bytes

// minLeak is the length from which a part of a token counts as a part of it.
const minLeak = 8

// redact takes token out of s, and every part of it that is long enough to be one: APIs repeat what
// they were sent, some of them cut short.
func redact(s, token string) string {
	s = s[:min(len(s), 16*maxMessage)]
	least := min(minLeak, len(token))
	if least == 0 {
		return s
	}
	var out strings.Builder
	for len(s) > 0 {
		n := 0
		if len(s) >= least && strings.Contains(token, s[:least]) {
			for n = least; n < len(s) && strings.Contains(token, s[:n+1]); n++ {
			}
		}
		if n == 0 {
			out.WriteByte(s[0])
			s = s[1:]
			continue
		}
		out.WriteString("REDACTED")
		s = s[n:]
	}
	return out.String()
}

// shorten makes s fit for a log line.
func shorten(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}

// decode undoes the Content-Encoding of an error body, as far as body goes: whole reports whether
// that is its end. http.Transport has done so already, unless the caller asked for an encoding by
// name. ok is false where it can't be undone. The result is at most maxAnswer long.
func decode(h http.Header, body []byte) (plain []byte, whole, ok bool) {
	var r io.Reader
	var err error
	switch encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return body, len(body) <= maxAnswer, true
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate": // RFC 9110 section 8.4.1.2: the zlib format
		r, err = zlib.NewReader(bytes.NewReader(body))
	default:
		err = errors.New("unknown")
	}
	if err != nil {
		return nil, false, false
	}
	plain, err = io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if len(plain) > maxAnswer {
		return plain[:maxAnswer], false, true
	}
	return plain, err == nil, true
}
