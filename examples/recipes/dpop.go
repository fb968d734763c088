package recipes

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
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

// A DPoP is the client's side of RFC 9449: it signs for each request that this program has the key
// that the token is bound to, so that a stolen token is worth nothing. It belongs below the
// Transport, because a replay needs a proof of its own, and below the provider's client:
//
//	proof := &DPoP{Key: key}
//	p := provider.OAuth2{..., Client: &http.Client{Transport: proof, Timeout: 30 * time.Second}}
//	client := &http.Client{Transport: &transport.Transport{Provider: p, Base: proof}}
//
// transport.Bearer, the default, knows DPoP's rejections. Keep the key where the refresh token is
// kept: a public client's is bound to it, too.
type DPoP struct {
	Key  *ecdsa.PrivateKey // on the curve P-256. Required
	Base http.RoundTripper // sends the requests. Nil means http.DefaultTransport

	nonces sync.Map // of strings, by scheme and host: what each server said last
}

// RoundTrip implements http.RoundTripper. If the server wants a nonce in the proof (RFC 9449
// section 8) the request is sent again with it, unless its body is gone; the next request has it at
// once.
func (d *DPoP) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.send(req)
	if err != nil || !wantsNonce(resp) || req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return resp, err
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return resp, nil
		}
	}
	_ = resp.Body.Close()
	return d.send(again)
}

func (d *DPoP) send(req *http.Request) (*http.Response, error) {
	origin := req.URL.Scheme + "://" + req.URL.Host
	out := req.Clone(req.Context()) // RoundTrip must not change req
	claims := jwt.MapClaims{
		"jti": rand.Text(),
		"htm": cmp.Or(req.Method, http.MethodGet),
		"htu": origin + cmp.Or(req.URL.EscapedPath(), "/"), // without the query
		"iat": time.Now().Unix(),
	}
	if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok { // Basic is left alone
		out.Header.Set("Authorization", "DPoP "+token)
		hash := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(hash[:])
	}
	if nonce, ok := d.nonces.Load(origin); ok {
		claims["nonce"] = nonce
	}
	proof, err := d.sign(claims)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // RoundTrip closes it whatever happens
		}
		return nil, err
	}
	out.Header.Set("DPoP", proof)
	resp, err := cmp.Or(d.Base, http.DefaultTransport).RoundTrip(out)
	if err != nil {
		return nil, err
	}
	if nonce := resp.Header.Get("DPoP-Nonce"); nonce != "" {
		d.nonces.Store(origin, nonce)
	}
	return resp, nil
}

func (d *DPoP) sign(claims jwt.MapClaims) (string, error) {
	point, err := d.Key.PublicKey.Bytes() // a byte that says "uncompressed", x and y
	if err != nil {
		return "", err
	}
	half := len(point) / 2
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["typ"] = "dpop+jwt"
	t.Header["jwk"] = map[string]string{
		"kty": "EC", "crv": "P-256",
		"x": base64.RawURLEncoding.EncodeToString(point[1 : 1+half]),
		"y": base64.RawURLEncoding.EncodeToString(point[1+half:]),
	}
	return t.SignedString(d.Key)
}

// wantsNonce reports whether resp asks for a nonce: an API says so in a challenge, a token endpoint
// in its error. The body stays readable.
func wantsNonce(resp *http.Response) bool {
	const code = "use_dpop_nonce"
	for _, c := range provider.ParseChallenges(resp.Header) {
		if strings.EqualFold(c.Scheme, "DPoP") && c.Params["error"] == code {
			return true
		}
	}
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("DPoP-Nonce") == "" {
		return false
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	var answer struct {
		Error string `json:"error"`
	}
	return json.Unmarshal(body, &answer) == nil && answer.Error == code
}
