package provider

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	maxToken    = 64 << 10                   // bytes that ParseJWT is willing to decode
	maxLifetime = 200 * 365 * 24 * time.Hour // a token that claims more was given in milliseconds, or by mistake
)

// ParseJWT returns value as a Token with the expiry and the lifetime that it claims: exp, and exp
// minus iat (RFC 7519 section 4.1). Use it to make a Token of a string that you got by your own
// means; [Func], [Static] and [HTTP] call it for you.
//
// The signature is not checked, since only the API can do that, so the result is a hint for when to
// refresh and no proof of anything. Any algorithm will do, also one that is not known here, and so
// will a developer token (see [DevToken]).
//
// An exp may have a fraction or an exponent (RFC 7519 section 2: any JSON number). One that makes
// no sense leaves the expiry unknown and is no error: no number, less than 1, or more than 200
// years ahead. A value that is not a JWT, or is longer than 64 KiB, is an error, which quotes none
// of it.
func ParseJWT(value string) (Token, error) {
	if len(value) > maxToken {
		return Token{}, errors.New("provider: the token is longer than 64 KiB")
	}
	claims, ok := claimsOf(value)
	if !ok {
		return Token{}, errors.New("provider: the token is not a JWT; if it is an opaque one, use NewToken")
	}
	t := NewToken(value, time.Time{})
	exp, ok := numericDate(claims["exp"])
	if !ok {
		return t, nil
	}
	t.expiry = exp
	if iat, ok := numericDate(claims["iat"]); ok {
		t.lifetime = max(exp.Sub(iat), 0)
	}
	return t, nil
}

// claimsOf decodes the payload of a JWT, and checks no signature.
func claimsOf(value string) (jwt.MapClaims, bool) {
	// Go's base64 decoder skips line breaks. In a header they would be a way out of it, so they are
	// no part of a JWT.
	if strings.ContainsAny(value, "\r\n") {
		return nil, false
	}
	// A developer token's payload is in padded standard base64, which the parser refuses whatever
	// its options.
	unpadded := strings.Map(func(r rune) rune {
		switch r {
		case '+':
			return '-'
		case '/':
			return '_'
		case '=':
			return -1
		}
		return r
	}, value)

	parser := jwt.NewParser(jwt.WithJSONNumber())
	claims := jwt.MapClaims{}
	token, parts, err := parser.ParseUnverified(unpadded, claims)
	if errors.Is(err, jwt.ErrTokenUnverifiable) {
		// By now the claims are read. Without any alg it is no JWT (RFC 7515 section 4.1.1); one
		// that isn't implemented is fine.
		if _, ok := token.Header["alg"].(string); ok {
			err = nil
		}
	}
	if err != nil {
		return nil, false
	}
	// The parser stops after the first JSON value and lets null pass for an object.
	payload, _ := parser.DecodeSegment(parts[1]) // it has just been decoded
	if !json.Valid(payload) || !strings.HasPrefix(strings.TrimSpace(string(payload)), "{") {
		return nil, false
	}
	return claims, true
}

// numericDate reads an exp or iat claim and reports whether it makes sense.
func numericDate(claim any) (time.Time, bool) {
	number, ok := claim.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64() // an error if it is out of range
	if err != nil || seconds < 1 || seconds > float64(time.Now().Add(maxLifetime).Unix()) {
		return time.Time{}, false
	}
	// Times of this century are exact to a quarter of a microsecond in a float64.
	return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC(), true
}
