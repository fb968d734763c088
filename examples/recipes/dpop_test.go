package recipes_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// A dpopServer checks the proofs of all requests, as RFC 9449 section 4.3 has it, before the guard
// sees them. One key is good.
type dpopServer struct {
	guard  *testserver.Guard
	key    *ecdsa.PublicKey
	nonce  string
	seen   map[string]bool
	asked  int     // how often it has asked for the nonce
	wrongs []error // what was wrong with other proofs
}

func (s *dpopServer) RoundTrip(req *http.Request) (*http.Response, error) {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	claims, err := s.proof(req.Header.Get("DPoP"))
	hash := sha256.Sum256([]byte(token))
	switch {
	case err != nil:
	case claims["htm"] != req.Method || claims["htu"] != "https://"+req.URL.Host+req.URL.Path:
		err = fmt.Errorf("the proof is for %v %v", claims["htm"], claims["htu"])
	case time.Since(time.Unix(int64(claims["iat"].(float64)), 0)).Abs() > time.Minute:
		err = fmt.Errorf("the proof is of %v", claims["iat"])
	case scheme == "DPoP" && claims["ath"] != base64.RawURLEncoding.EncodeToString(hash[:]):
		err = fmt.Errorf("the proof is for the token with the hash %v", claims["ath"])
	case scheme == "Bearer":
		err = fmt.Errorf("the token came without a proof")
	case s.seen[claims["jti"].(string)]:
		err = fmt.Errorf("the proof was used before")
	default:
		s.seen[claims["jti"].(string)] = true
		if claims["nonce"] != s.nonce {
			s.asked++
			return s.askNonce(req), nil
		}
	}
	if err != nil {
		s.wrongs = append(s.wrongs, err)
		return nil, err
	}
	in := req.Clone(req.Context())
	if scheme == "DPoP" {
		in.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.guard.RoundTrip(in)
	if err == nil {
		resp.Header.Set("DPoP-Nonce", s.nonce)
	}
	return resp, err
}

func (s *dpopServer) proof(proof string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(proof, claims, func(t *jwt.Token) (any, error) {
		jwk, ok := t.Header["jwk"].(map[string]any)
		if !ok || t.Header["typ"] != "dpop+jwt" || jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
			return nil, fmt.Errorf("the proof's header is %v", t.Header)
		}
		x, _ := base64.RawURLEncoding.DecodeString(jwk["x"].(string))
		y, _ := base64.RawURLEncoding.DecodeString(jwk["y"].(string))
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil || !key.Equal(s.key) {
			return nil, fmt.Errorf("the proof is of another key: %v", err)
		}
		return key, nil
	}, jwt.WithValidMethods([]string{"ES256"}))
	return claims, err
}

// askNonce has read the request's body, as a server has by then.
func (s *dpopServer) askNonce(req *http.Request) *http.Response {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	w := httptest.NewRecorder()
	w.Header().Set("DPoP-Nonce", s.nonce)
	if req.URL.Path == "/token" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.WriteString(`{"error":"use_dpop_nonce"}`)
	} else {
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
	resp := w.Result()
	resp.Request = req
	return resp
}

func TestDPoP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := &testserver.Guard{
			Next: http.HandlerFunc(echo),
			Reject: func(w http.ResponseWriter, _ *http.Request, reason testserver.Reason) {
				w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token", algs="ES256"`)
				http.Error(w, string(reason), http.StatusUnauthorized)
			},
		}
		defer guard.Close()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		server := &dpopServer{guard: guard, key: &key.PublicKey, nonce: "one", seen: map[string]bool{}}
		proof := &recipes.DPoP{Key: key, Base: server}
		tr := &transport.Transport{Base: proof, Provider: provider.OAuth2{
			TokenURL:     tokenURL,
			ClientID:     "tool",
			ClientSecret: provider.NewSecret("secret"),
			RefreshToken: provider.NewSecret(guard.LogIn("alice")),
			Client:       &http.Client{Transport: proof},
		}}
		defer tr.Close()
		client := &http.Client{Transport: tr}
		post := func() string {
			return answer(client.Post(api+"/things?q=1", "text/plain", strings.NewReader("hello")))
		}

		start := time.Now()
		want(t, "first", post(), "200 OK hello")
		want(t, "time lost", time.Since(start), 0)
		want(t, "nonces asked for, by two servers", server.asked, 2)
		guard.Revoke("alice")
		want(t, "after the revocation", post(), "200 OK hello")
		want(t, "nonces asked for", server.asked, 2)
		server.nonce = "two"
		want(t, "with a new nonce", post(), "200 OK hello")
		want(t, "nonces asked for", server.asked, 3)

		want(t, "token calls", guard.Ledger().TokenCalls, 2)
		want(t, "rejected tokens", tr.Stats().Rejected, 1)
		want(t, "reused refresh tokens", guard.Ledger().Reused, 0)
		for _, err := range server.wrongs {
			t.Error(err)
		}
	})
}
