package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// demoLife is how long a demo server's access tokens live: short, so that one sees something.
const demoLife = 20 * time.Second

func demoCommand() command {
	return command{name: "demo", short: "run a server to try this tool on", long: `Runs an OAuth 2.0 server and an API on this machine until it is interrupted. It takes everybody for alice, its access tokens live 20 s,
its refresh tokens rotate, and one that is used twice ends the login.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			addr := flags.String("addr", "127.0.0.1:8086", "`address` to listen on")
			return func(ctx context.Context, _ []string) error {
				listener, err := net.Listen("tcp", *addr)
				if err != nil {
					return err
				}
				base := "http://" + listener.Addr().String()
				fmt.Fprintf(t.stdout, "oauthcli login -issuer %s -client-id demo -api %s\n", base, base)
				server := &http.Server{Handler: newDemo(base, demoLife).handler(), ReadHeaderTimeout: 10 * time.Second}
				stop := context.AfterFunc(ctx, func() { _ = server.Close() })
				defer stop()
				if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return nil
			}
		}}
}

// A demo is an authorization server that asks no questions, and an API behind it.
type demo struct {
	base string
	life time.Duration

	mu      sync.Mutex // guards the fields below
	codes   map[string]demoCode
	devices map[string]*demoDevice // by device code
	refresh map[string]*demoLogin  // also those that are spent
	access  map[string]demoAccess

	refreshes, reused int // token calls with a refresh token, and those with one that was spent
}

type demoCode struct{ challenge, redirect, scope string }

type demoDevice struct {
	userCode, scope string
	approved        bool
}

type demoLogin struct {
	current, scope string
	ended          bool
}

type demoAccess struct {
	login *demoLogin
	until time.Time
}

func newDemo(base string, life time.Duration) *demo {
	return &demo{base: base, life: life, codes: make(map[string]demoCode), devices: make(map[string]*demoDevice),
		refresh: make(map[string]*demoLogin), access: make(map[string]demoAccess)}
}

func (d *demo) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, endpoints{Issuer: d.base, Authorization: d.base + "/authorize", Device: d.base + "/device",
			Token: d.base + "/token", Revocation: d.base + "/revoke"})
	})
	mux.HandleFunc("GET /authorize", d.authorize)
	mux.HandleFunc("POST /device", d.device)
	mux.HandleFunc("GET /activate", d.activate)
	mux.HandleFunc("POST /token", d.token)
	mux.HandleFunc("POST /revoke", d.revoke)
	mux.HandleFunc("GET /me", d.me)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
}

func (d *demo) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || redirect.Scheme != "http" || !isLoopback(redirect.Hostname()) {
		http.Error(w, "only programs on this machine can log in here", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}, "iss": {d.base}}
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		back.Set("error", "invalid_request")
		back.Set("error_description", "a code with PKCE is all there is")
	} else {
		code := rand.Text()
		d.codes[code] = demoCode{q.Get("code_challenge"), q.Get("redirect_uri"), q.Get("scope")}
		back.Set("code", code)
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

func (d *demo) device(w http.ResponseWriter, r *http.Request) {
	code, dev := rand.Text(), &demoDevice{userCode: rand.Text()[:8], scope: r.PostFormValue("scope")}
	d.devices[code] = dev
	answer(w, http.StatusOK, map[string]any{"device_code": code, "user_code": dev.userCode, "verification_uri": d.base + "/activate",
		"expires_in": 600, "interval": 1})
}

func (d *demo) activate(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	for _, dev := range d.devices {
		if dev.userCode == r.FormValue("user_code") {
			dev.approved = true
			_, _ = io.WriteString(w, "<p>The device is logged in.")
			return
		}
	}
	_, _ = io.WriteString(w, `<form><label>Code: <input name="user_code" autofocus></label> <button>Log in</button></form>`)
}

func (d *demo) token(w http.ResponseWriter, r *http.Request) {
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		code, ok := d.codes[r.PostFormValue("code")]
		delete(d.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !ok || code.redirect != r.PostFormValue("redirect_uri") || code.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			refuse(w, "invalid_grant", "The code is unknown, or not yours.")
			return
		}
		d.grant(w, &demoLogin{scope: code.scope})
	case "urn:ietf:params:oauth:grant-type:device_code":
		switch dev := d.devices[r.PostFormValue("device_code")]; {
		case dev == nil:
			refuse(w, "expired_token", "The code is unknown.")
		case !dev.approved:
			refuse(w, "authorization_pending", "")
		default:
			delete(d.devices, r.PostFormValue("device_code"))
			d.grant(w, &demoLogin{scope: dev.scope})
		}
	case "refresh_token":
		d.refreshes++
		spent := r.PostFormValue("refresh_token")
		login := d.refresh[spent]
		switch {
		case login == nil || login.ended:
			refuse(w, "invalid_grant", "The login has ended.")
		case login.current != spent:
			d.reused++
			login.ended = true
			refuse(w, "invalid_grant", "The refresh token was used before. The login has ended.")
		default:
			d.grant(w, login)
		}
	default:
		refuse(w, "unsupported_grant_type", "")
	}
}

// grant answers with the next tokens of login.
func (d *demo) grant(w http.ResponseWriter, login *demoLogin) {
	login.current = rand.Text()
	d.refresh[login.current] = login
	access := rand.Text()
	d.access[access] = demoAccess{login, time.Now().Add(d.life)}
	answer(w, http.StatusOK, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": d.life.Seconds(),
		"refresh_token": login.current, "scope": login.scope})
}

func (d *demo) revoke(w http.ResponseWriter, r *http.Request) {
	token := r.PostFormValue("token")
	if login := d.refresh[token]; login != nil {
		login.ended = true
	} else if a, ok := d.access[token]; ok {
		a.login.ended = true
	}
	w.WriteHeader(http.StatusOK) // also for one that is unknown: RFC 7009 section 2.2
}

func (d *demo) me(w http.ResponseWriter, r *http.Request) {
	var token string
	if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %s", &token); err == nil {
		if a, ok := d.access[token]; ok && !a.login.ended && time.Now().Before(a.until) {
			answer(w, http.StatusOK, map[string]string{"name": "alice"})
			return
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="demo", error="invalid_token"`)
	answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
}

func refuse(w http.ResponseWriter, code, description string) {
	answer(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
}

func answer(w http.ResponseWriter, status int, body any) {
	data, _ := json.Marshal(body) // maps and structs of strings and numbers
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
