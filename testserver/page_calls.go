package testserver

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/live"
	"github.com/stayauth/stayauth/testserver/internal/login"
)

const maxTokenCall = 64 << 10 // bytes that are read of a request to a token endpoint, and of an answer

// asked finds out who asks a token endpoint for a token, says so to the page and returns it. It is
// "" where only the answer can tell.
func (p *Page) asked(r *http.Request, body []byte) (user string) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	refresh := ""
	if kind == "application/x-www-form-urlencoded" {
		form, _ := url.ParseQuery(string(body))
		refresh = form.Get("refresh_token")
		if form.Get("grant_type") == "client_credentials" {
			if user = form.Get("client_id"); user == "" {
				id, _, _ := r.BasicAuth()
				user, _ = url.QueryUnescape(id)
			}
		}
	} else {
		var in struct {
			User    string `json:"user_id"`
			Refresh string `json:"refresh_token"`
		}
		_ = json.Unmarshal(body, &in) // what can't be read tells nothing
		user, refresh = in.User, in.Refresh
	}
	if user == "" && refresh != "" {
		p.mu.Lock()
		user = p.authority.Owner(refresh)
		p.mu.Unlock()
	}
	if len(user) > login.MaxUserID {
		user = "" // no user has such an id
	}
	p.feed.CallBegan(user)
	return user
}

// peek reads the beginning of a request's body and puts it back.
func peek(r *http.Request) []byte {
	if r.Body == nil {
		return nil
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, maxTokenCall))
	var rest io.Reader = r.Body
	if err != nil {
		rest = failing{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), r.Body}
	return head
}

// failing is a reader that fails as another one did.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// tellTokenCall tells the page how a call of the token endpoint has ended.
func (p *Page) tellTokenCall(asker string, r live.Request) {
	if r.User == "" {
		r.User = asker
	}
	if r.User == "" {
		r.User = live.NobodyLane
	}
	p.feed.CallEnded(asker, r)
}

// TokenEndpoint shows on the page the calls of a token endpoint of your own, such as a
// provider.Handler with the same secret, and lets the page's switches for token endpoints act on
// it. It understands the JSON and the forms that [Guard]'s endpoint does.
func (p *Page) TokenEndpoint(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := live.Request{Begin: time.Now()}
		user := p.asked(r, peek(r))
		rec := &recorder{ResponseWriter: w}
		defer func() {
			call.End, call.Status = time.Now(), rec.status
			call.Token = rec.token()
			p.tellTokenCall(user, call)
		}()
		f := p.fault(Fault{}, true)
		if !wait(r.Context(), p.subject.Done(), f.Latency) {
			cut()
		}
		if f.Status != 0 {
			writeFault(rec, f.Status)
			return
		}
		next.ServeHTTP(rec, r)
		if f.Dead {
			p.revoke(rec.value())
		}
	})
}

// A recorder remembers an answer that passes through it.
type recorder struct {
	http.ResponseWriter
	status int
	body   []byte // the beginning of it
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.body = append(r.body, b[:min(len(b), maxTokenCall-len(r.body))]...)
	return r.ResponseWriter.Write(b)
}

// Unwrap gives [http.ResponseController] the rest.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// value returns the token in the answer, or "".
func (r *recorder) value() string {
	var out struct {
		Token  string `json:"token"`
		Access string `json:"access_token"`
	}
	_ = json.Unmarshal(r.body, &out) // what can't be read holds none
	if out.Token == "" {
		return out.Access
	}
	return out.Token
}

func (r *recorder) token() string {
	if v := r.value(); v != "" {
		return TokenID(v)
	}
	return ""
}
