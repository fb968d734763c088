package testserver_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver"
)

const header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

// devToken makes a developer token as Stream's SDKs do: standard base64, padded.
func devToken(userID string) string {
	return header + "." + base64.StdEncoding.EncodeToString([]byte(`{"user_id":"`+userID+`"}`)) + ".devtoken"
}

func TestJudgement(t *testing.T) {
	const (
		alive     = ""
		expired   = "JWTAuth error: token is expired (exp)"
		early     = "JWTAuth error: token is not valid yet (nbf)"
		future    = "JWTAuth error: token used before issue at (iat)"
		signature = `JWTAuth error: signature is not valid. Make sure the token is created using the secret for API key "stayauth-key"`
		segments  = "token contains an invalid number of segments"
		authType  = "stream-auth-type missing or invalid"

		beginsWithBearer = "token is malformed: it begins with Bearer, and has to stand alone in Authorization"
	)
	tests := []struct {
		name   string
		caller func() caller
		code   int
		inner  string
	}{
		{"user token", func() caller {
			return caller{token: mint(jwt.MapClaims{"user_id": "alice", "iat": in(0), "exp": in(time.Hour)})}
		}, 0, alive},
		{"user token without times", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice"})} }, 0, alive},
		{"unknown claims", func() caller {
			return caller{token: mint(jwt.MapClaims{"user_id": "alice", "validity_in_seconds": 60, "sub": "bob"})}
		}, 0, alive},
		{"server token", func() caller { return caller{token: mint(jwt.MapClaims{"server": true})} }, 0, alive},
		{"Python's server token", func() caller { return caller{token: mint(jwt.MapClaims{})} }, 0, alive},
		{"iat in this second", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice", "iat": in(0)})} }, 0, alive},
		{"iat with a fraction", func() caller {
			return caller{token: mint(jwt.MapClaims{"user_id": "alice", "iat": float64(in(0)) + 0.5})}
		}, 0, alive},

		{"exp a moment ago", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice", "exp": in(0)})} }, 40, expired},
		{"exp a fraction ago", func() caller {
			return caller{token: mint(jwt.MapClaims{"user_id": "alice", "exp": float64(in(0)) + 0.5})}
		}, 40, expired},
		{"exp a fraction ahead", func() caller {
			return caller{token: mint(jwt.MapClaims{"user_id": "alice", "exp": float64(in(0)) + 0.501})}
		}, 0, alive},
		{"exp in 1970", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice", "exp": 0})} }, 40, expired},
		{"exp of all times", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice", "exp": 1e300})} }, 0, alive},
		{"exp before all times", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice", "exp": -1e300})} }, 40, expired},
		{"nbf ahead", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice", "nbf": in(time.Second)})} }, 41, early},
		{"iat ahead", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice", "iat": in(time.Second)})} }, 42, future},
		{"expired server token", func() caller { return caller{token: mint(jwt.MapClaims{"server": true, "exp": in(-time.Hour)})} }, 40, expired},
		{"wrong secret", func() caller { return caller{token: mintWith("other", jwt.MapClaims{"user_id": "alice"})} }, 43, signature},
		{"other method", func() caller {
			s, _ := jwt.NewWithClaims(jwt.SigningMethodHS512, jwt.MapClaims{"user_id": "alice"}).SignedString([]byte(testserver.DefaultSecret))
			return caller{token: s}
		}, 43, signature},
		{"method none", func() caller {
			s, _ := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"user_id": "alice"}).SignedString(jwt.UnsafeAllowNoneSignatureType)
			return caller{token: s}
		}, 43, signature},
		{"method unheard of", func() caller {
			h := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"XX1"}`))
			return caller{token: h + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"user_id":"alice"}`)) + ".c2ln"}
		}, 43, signature},
		{"developer token", func() caller { return caller{token: devToken("alice")} }, 43, signature},

		{"no token", func() caller { return caller{} }, 5, segments},
		{"two segments", func() caller { return caller{token: "a.b"} }, 5, segments},
		{"four segments", func() caller { return caller{token: "a.b.c.d"} }, 5, segments},
		{"no base64", func() caller { return caller{token: "!.!.!"} }, 5, "token is malformed"},
		{"no JSON", func() caller { return caller{token: header + ".YWJj.c2ln"} }, 5, "token is malformed"},
		{"developer token without JSON", func() caller { return caller{token: header + ".YWJj.devtoken"} }, 5, "token is malformed"},
		{"Bearer", func() caller { return caller{token: "Bearer " + mint(jwt.MapClaims{"user_id": "alice"})} }, 5, beginsWithBearer},
		{"bearer and no token", func() caller { return caller{token: "bearer x"} }, 5, beginsWithBearer},
		{"user_id a number", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": 7})} }, 5, "token's user_id is not a string of 1 to 255 characters"},
		{"user_id empty", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": ""})} }, 5, "token's user_id is not a string of 1 to 255 characters"},
		{"user_id null", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": nil})} }, 5, "token's user_id is not a string of 1 to 255 characters"},
		{"user_id too long", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": strings.Repeat("a", 256)})} }, 5, "token's user_id is not a string of 1 to 255 characters"},
		{"exp a string", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice", "exp": "soon"})} }, 5, "token's exp is not a number"},

		{"wrong API key", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice"}), key: "other"} }, 2, "api_key is invalid"},
		{"no auth type", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice"}), auth: "-"} }, 2, authType},
		{"wrong auth type", func() caller { return caller{token: mint(jwt.MapClaims{"user_id": "alice"}), auth: "basic"} }, 2, authType},
		{"anonymous", func() caller { return caller{auth: "anonymous"} }, 0, alive},
		{"anonymous with a dead token", func() caller { return caller{auth: "anonymous", token: "a.b"} }, 0, alive},

		// The order of judgement: what is wrong first is told.
		{"API key before auth type", func() caller { return caller{token: "a", key: "other", auth: "basic"} }, 2, "api_key is invalid"},
		{"auth type before form", func() caller { return caller{token: "a", auth: "basic"} }, 2, authType},
		{"claims before signature", func() caller { return caller{token: mintWith("other", jwt.MapClaims{"user_id": 7})} }, 5, "token's user_id is not a string of 1 to 255 characters"},
		{"signature before nbf", func() caller {
			return caller{token: mintWith("other", jwt.MapClaims{"user_id": "a", "nbf": in(time.Hour)})}
		}, 43, signature},
		{"nbf before iat", func() caller {
			return caller{token: mint(jwt.MapClaims{"user_id": "a", "nbf": in(time.Hour), "iat": in(time.Hour)})}
		}, 41, early},
		{"iat before exp", func() caller {
			return caller{token: mint(jwt.MapClaims{"user_id": "a", "iat": in(time.Hour), "exp": in(-time.Hour)})}
		}, 42, future},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := &testserver.Server{}
			bubble(t, srv, func(t *testing.T) {
				c := tt.caller()
				c.rt = srv
				a := c.do("GET", "/api/v2/app", "")
				if tt.code == 0 {
					wantStatus(t, a, 200)
					if srv.Ledger().Rejected != 0 {
						t.Error("the ledger counts a rejection")
					}
					return
				}
				wantCode(t, a, 401, tt.code)
				if want := `GetApp failed with error: "` + tt.inner + `"`; a.text("message") != want {
					t.Errorf("message %s, want %s", a.text("message"), want)
				}
				for _, name := range []string{"code", "message", "StatusCode", "duration", "more_info", "details"} {
					if a.body[name] == nil {
						t.Errorf("the error has no %s: %v", name, a.body)
					}
				}
				if a.number("StatusCode") != 401 {
					t.Errorf("StatusCode %v, want 401", a.body["StatusCode"])
				}
			})
		})
	}
}

// The last moment of a token's life, and the first after it.
func TestExpiry(t *testing.T) {
	srv := &testserver.Server{TTL: 2 * time.Second}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")} // at 0.5 s, so exp is 2.5 s rounded up
		time.Sleep(2500*time.Millisecond - 1)
		if code := alice.ping(); code != 0 {
			t.Errorf("1 ns before exp: code %d", code)
		}
		time.Sleep(time.Nanosecond)
		if code := alice.ping(); code != 40 {
			t.Errorf("at exp: code %d, want 40", code)
		}
	})
}

func TestDisableAuthChecks(t *testing.T) {
	for _, id := range []string{"alice", "ab?>", "bob~~", "ü", "x"} {
		t.Run(id, func(t *testing.T) {
			srv := &testserver.Server{}
			bubble(t, srv, func(t *testing.T) {
				dev := caller{rt: srv, token: devToken(id)}
				server := caller{rt: srv, token: srv.ServerToken()}
				if code := dev.ping(); code != 43 {
					t.Errorf("with the checks on: code %d, want 43", code)
				}
				wantStatus(t, server.do("PATCH", "/api/v2/app", `{"disable_auth_checks":true}`), 200)
				if on := server.do("GET", "/api/v2/app", "").get("app", "disable_auth_checks"); on != true {
					t.Errorf("GetApp says disable_auth_checks = %v", on)
				}
				a := dev.post("hello")
				wantStatus(t, a, 201)
				if got := a.get("activity", "user", "id"); got != id {
					t.Errorf("the activity is %v's, want %s's", got, id)
				}
				if code := (caller{rt: srv}).ping(); code != 5 {
					t.Errorf("without a token: code %d, want 5", code)
				}
				if code := (caller{rt: srv, token: mintWith("other", jwt.MapClaims{"user_id": id, "exp": in(-1)})}).ping(); code != 40 {
					t.Errorf("an expired token: code %d, want 40", code)
				}
				wantStatus(t, server.do("PATCH", "/api/v2/app", `{"disable_auth_checks":false}`), 200)
				if code := dev.ping(); code != 43 {
					t.Errorf("with the checks on again: code %d, want 43", code)
				}
			})
		})
	}
	t.Run("field and spelling", func(t *testing.T) {
		srv := &testserver.Server{DisableAuthChecks: true}
		bubble(t, srv, func(t *testing.T) {
			const claims = `{"user_id":"ab?>"}`
			for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
				if code := (caller{rt: srv, token: header + "." + enc.EncodeToString([]byte(claims)) + ".devtoken"}).ping(); code != 0 {
					t.Errorf("payload %s: code %d", enc.EncodeToString([]byte(claims)), code)
				}
			}
		})
	})
}

// A server with a key and a secret of its own takes no others.
func TestKeyAndSecret(t *testing.T) {
	srv := &testserver.Server{Key: "k", Secret: "s"}
	bubble(t, srv, func(t *testing.T) {
		if code := (caller{rt: srv, key: "k", token: srv.Issue("alice")}).ping(); code != 0 {
			t.Errorf("own token: code %d", code)
		}
		if code := (caller{rt: srv, key: "k", token: mintWith("s", jwt.MapClaims{"user_id": "alice"})}).ping(); code != 0 {
			t.Errorf("token of the same secret: code %d", code)
		}
		if code := (caller{rt: srv, key: "k", token: mint(jwt.MapClaims{"user_id": "alice"})}).ping(); code != 43 {
			t.Errorf("token of the default secret: code %d, want 43", code)
		}
		if code := (caller{rt: srv, token: srv.Issue("alice")}).ping(); code != 2 {
			t.Errorf("default key: code %d, want 2", code)
		}
	})
}

// A token may come in the URL, as the oldest clients send it, and is seen there.
func TestTokenInQuery(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		value := srv.Issue("alice")
		req, err := http.NewRequest("GET", "http://api.test/api/v2/app?authorization="+value, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, caller{rt: srv}.send(req), 200)
		if uses := srv.Ledger().Tokens[testserver.TokenID(value)].Uses; uses != 1 {
			t.Errorf("the ledger saw the token %d times, want 1", uses)
		}
	})
}
