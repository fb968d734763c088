package referee_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/provider"
)

// A dpop is the client's side of DPoP (RFC 9449): it proves, with each request, that it holds the
// key to which tokens are bound, and learns the nonces that a server wants in the proof. It belongs
// below the client of an OAuth2 and below a Transport.
type dpop struct {
	key *ecdsa.PrivateKey
	jwk map[string]string // the public part

	mu     sync.Mutex
	nonces map[string]string // by host
}

func newDPoP(pkcs8 []byte) *dpop {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		panic(err)
	}
	key := parsed.(*ecdsa.PrivateKey)
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err)
	}
	half := len(point) / 2
	return &dpop{key: key, nonces: make(map[string]string), jwk: map[string]string{"kty": "EC", "crv": "P-256",
		"x": base64.RawURLEncoding.EncodeToString(point[1 : 1+half]), "y": base64.RawURLEncoding.EncodeToString(point[1+half:])}}
}

func (d *dpop) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.send(r)
	if err != nil {
		return nil, err
	}
	nonce := resp.Header.Get("DPoP-Nonce")
	if nonce == "" {
		return resp, nil
	}
	d.mu.Lock()
	d.nonces[r.URL.Host] = nonce
	d.mu.Unlock()
	if !wantsNonce(resp) || r.Body != nil && r.GetBody == nil {
		return resp, nil
	}
	resp.Body.Close()
	again := r.Clone(r.Context())
	if r.Body != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return d.send(again)
}

// wantsNonce reports whether resp says that the proof lacked the nonce: an API in a challenge, a
// token endpoint in the body, which is whole again afterwards.
func wantsNonce(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		said := provider.Rejection{Challenges: provider.ParseChallenges(resp.Header)}
		return said.Param("DPoP", "error") == "use_dpop_nonce"
	case http.StatusBadRequest:
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(strings.NewReader(string(body)), resp.Body), resp.Body}
		var said struct {
			Error string `json:"error"`
		}
		return err == nil && json.Unmarshal(body, &said) == nil && said.Error == "use_dpop_nonce"
	}
	return false
}

// send sends r with a proof for it.
func (d *dpop) send(r *http.Request) (*http.Response, error) {
	url := *r.URL
	url.RawQuery, url.Fragment = "", ""
	claims := jwt.MapClaims{"jti": rand.Text(), "htm": r.Method, "htu": url.String(), "iat": time.Now().Unix()}
	d.mu.Lock()
	if nonce := d.nonces[r.URL.Host]; nonce != "" {
		claims["nonce"] = nonce
	}
	d.mu.Unlock()
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP "); ok {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	proof := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	proof.Header["typ"], proof.Header["jwk"] = "dpop+jwt", d.jwk
	signed, err := proof.SignedString(d.key)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.Header.Set("DPoP", signed)
	return http.DefaultTransport.RoundTrip(out)
}
