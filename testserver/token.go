package testserver

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issue mints a token for the user: user_id, iat (now), exp (see TTL), and a jti that makes each token a different one. The
// user comes into being with it. An empty userID panics.
func (s *Server) Issue(userID string) string {
	if userID == "" {
		panic("testserver: Issue needs a user id")
	}
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	value, _ := s.issue(userID, false)
	return value
}

// ServerToken returns a server token: valid for ever, nobody's, and allowed to do everything, such as PATCH /api/v2/users.
func (s *Server) ServerToken() string { return s.sign(jwt.MapClaims{"server": true}) }

// TokenID returns the name under which a token stands in the [Ledger]. It is a short hash: no secret, and always the same.
func TokenID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

// issue mints a token and returns it with its end, which is zero if it has none. s.mu is held.
func (s *Server) issue(userID string, dead bool) (value string, exp time.Time) {
	now := s.now()
	s.serial++
	claims := jwt.MapClaims{
		"user_id": userID,
		"iat":     now.Unix(),
		"jti":     s.instance + "-" + strconv.FormatUint(s.serial, 10),
	}
	if ttl := s.ttl(); ttl > 0 {
		exp = now.Add(ttl)
		if up := exp.Truncate(time.Second); up.Before(exp) {
			exp = up.Add(time.Second)
		}
		claims["exp"] = exp.Unix()
	}
	value = s.sign(claims)
	s.ensureUser(userID)
	s.ledger.issued++
	s.ledger.tokens.put(TokenID(value), &tokenRecord{user: userID, serial: s.serial, dead: dead, issued: time.Now()}, 0)
	return value, exp
}

func (s *Server) sign(claims jwt.MapClaims) string {
	value, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.secret())
	if err != nil {
		panic(err) // not with an HMAC key of bytes and claims that JSON can hold
	}
	return value
}

// A token is what a request's token says.
type token struct {
	user          string    // empty: a server token
	iat, nbf, exp time.Time // zero: the token has no such claim
	signed        bool      // with the server's secret
	serial        uint64    // its number among the tokens that this server minted, 0 if it did not mint it
}

// parse reads a token. It fails if the token makes no sense, whoever signed it.
func (s *Server) parse(value string) (token, *failure) {
	claims, signed, f := s.open(value)
	if f != nil {
		return token{}, f
	}
	t, ok := token{signed: signed}, false
	if t.user, ok = userClaim(claims); !ok {
		return token{}, refused(codeMalformed, fmt.Sprintf("token's user_id is not a string of 1 to %d characters", maxUserID))
	}
	for name, field := range map[string]*time.Time{"iat": &t.iat, "nbf": &t.nbf, "exp": &t.exp} {
		if *field, ok = timeClaim(claims, name); !ok {
			return token{}, refused(codeMalformed, "token's "+name+" is not a number")
		}
	}
	if jti, ok := claims["jti"].(string); ok && signed {
		if n, ok := strings.CutPrefix(jti, s.instance+"-"); ok {
			t.serial, _ = strconv.ParseUint(n, 10, 64)
		}
	}
	return t, nil
}

// open takes a token apart and reports whether it is signed with the server's secret.
func (s *Server) open(value string) (claims jwt.MapClaims, signed bool, f *failure) {
	if len(value) > len(bearer) && strings.EqualFold(value[:len(bearer)], bearer) {
		return nil, false, refused(codeMalformed, "token is malformed: it begins with Bearer, and has to stand alone in Authorization")
	}
	parts := strings.Split(value, ".")
	if len(parts) != 3 {
		return nil, false, refused(codeMalformed, "token contains an invalid number of segments")
	}
	malformed := refused(codeMalformed, "token is malformed")
	claims = jwt.MapClaims{}
	if parts[2] == "devtoken" {
		// jwt refuses a developer token's payload, which is in standard base64 with padding.
		payload := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(parts[1], "="))
		raw, err := base64.RawStdEncoding.DecodeString(payload)
		if err != nil || json.Unmarshal(raw, &claims) != nil {
			return nil, false, malformed
		}
		return claims, false, nil
	}
	t, _, err := jwt.NewParser().ParseUnverified(value, claims)
	switch {
	case errors.Is(err, jwt.ErrTokenUnverifiable): // an alg that jwt doesn't know
		return claims, false, nil
	case err != nil:
		return nil, false, malformed
	}
	// Only HS256: a token must not choose how it is checked (RFC 8725 section 3.1).
	signed = t.Method == jwt.SigningMethodHS256 && t.Method.Verify(parts[0]+"."+parts[1], t.Signature, s.secret()) == nil
	return claims, signed, nil
}

// bearer is what other APIs want ahead of a token (RFC 6750 section 2.1), and Stream does not.
const bearer = "Bearer "

// maxUserID is how long a user's id may be, in bytes.
const maxUserID = 255

// userClaim returns the user whose token this is, or "" for a server token, and false if the claim makes no sense.
func userClaim(claims jwt.MapClaims) (string, bool) {
	v, present := claims["user_id"]
	if !present {
		return "", true
	}
	id, ok := v.(string)
	return id, ok && id != "" && len(id) <= maxUserID
}

// timeClaim returns a claim in seconds since 1970, fractions allowed (RFC 7519 section 2), or the zero time if there is none,
// and false if it is no number.
func timeClaim(claims jwt.MapClaims, name string) (time.Time, bool) {
	v := claims[name]
	if v == nil {
		return time.Time{}, true
	}
	sec, ok := v.(float64)
	if !ok {
		return time.Time{}, false
	}
	const far = 1e11 // some 3,000 years: beyond this all times are the same, and none overflows
	whole, fraction := math.Modf(max(-far, min(sec, far)))
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}
