package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxUserID is how long a user's id may be, in bytes.
const MaxUserID = 255

// ID returns the name under which a token stands in the ledger: a short hash, no secret, and always
// the same.
func ID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

// Issue mints a token for a user and returns it with its end, which is zero if it has none. A dead
// one is revoked already.
func (a *Authority) Issue(user string, dead bool) (value string, exp time.Time) {
	return a.IssueFor(user, a.TTL, dead)
}

// IssueFor is Issue with a life other than TTL; 0 or less: for ever.
func (a *Authority) IssueFor(user string, ttl time.Duration, dead bool) (value string, exp time.Time) {
	now := a.Now()
	a.serial++
	t := Token{User: user, IssuedAt: Floor(now), Signed: true, Serial: a.serial}
	claims := jwt.MapClaims{
		a.Claim: user,
		"iat":   now.Unix(),
		"jti":   a.Instance + "-" + strconv.FormatUint(a.serial, 10),
	}
	if ttl > 0 {
		exp = now.Add(ttl)
		if up := exp.Truncate(time.Second); up.Before(exp) {
			exp = up.Add(time.Second)
		}
		claims["exp"] = exp.Unix()
		t.Expires = exp
	}
	rec := &TokenRecord{User: user, Issued: time.Now(), serial: a.serial, dead: dead}
	if a.Opaque {
		value, rec.says = rand.Text(), &t
	} else {
		value = a.Sign(claims)
	}
	a.Ledger.Issued++
	id := ID(value)
	a.Ledger.Tokens.Put(id, rec, 0)
	if a.Met != nil {
		a.Met(id, t, rec)
	}
	return value, exp
}

// Sign makes a token of claims. It needs no lock.
func (a *Authority) Sign(claims jwt.MapClaims) string {
	value, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(a.Secret)
	if err != nil {
		panic(err) // not with an HMAC key of bytes and claims that JSON can hold
	}
	return value
}

// A Token is what a request's token says.
type Token struct {
	User                         string // empty: a server token
	IssuedAt, NotBefore, Expires time.Time
	Signed                       bool   // with the authority's secret
	Serial                       uint64 // its number among the tokens that were minted here, 0 if it was not
}

// Parse reads a token. It fails if the token makes no sense, which can't be said of an
// opaque one. Who has signed it does not matter.
func (a *Authority) Parse(value string) (Token, error) {
	if a.Opaque {
		if rec, ok := a.Ledger.Tokens.Get(ID(value)); ok && rec.says != nil {
			return *rec.says, nil
		}
		return Token{}, nil
	}
	claims, signed, err := a.Open(value)
	if err != nil {
		return Token{}, err
	}
	return a.Read(claims, signed)
}

// Open takes a token apart and reports whether it is signed with the authority's secret. It fails
// if the token makes no sense. Who has signed it does not matter. It needs no lock.
func (a *Authority) Open(value string) (claims jwt.MapClaims, signed bool, err error) {
	parts := strings.Split(value, ".")
	if len(parts) != 3 {
		return nil, false, errors.New("token contains an invalid number of segments")
	}
	claims = jwt.MapClaims{}
	t, _, err := jwt.NewParser().ParseUnverified(value, claims)
	switch {
	case errors.Is(err, jwt.ErrTokenUnverifiable): // an alg that jwt doesn't know
		return claims, false, nil
	case err != nil:
		return nil, false, errors.New("token is malformed")
	}
	// Only HS256: a token must not choose how it is checked (RFC 8725 section 3.1).
	signed = t.Method == jwt.SigningMethodHS256 && t.Method.Verify(parts[0]+"."+parts[1], t.Signature, a.Secret) == nil
	return claims, signed, nil
}

// Read makes a Token of claims, or says what makes no sense in them. It needs no lock.
func (a *Authority) Read(claims jwt.MapClaims, signed bool) (Token, error) {
	t, ok := Token{Signed: signed}, false
	if t.User, ok = userClaim(claims, a.Claim); !ok {
		return Token{}, fmt.Errorf("token's %s is not a string of 1 to %d characters", a.Claim, MaxUserID)
	}
	if t.User == "" && a.Other != "" {
		if t.User, ok = userClaim(claims, a.Other); !ok || t.User == "" {
			return Token{}, fmt.Errorf("token says nothing of its user: it has no %s", a.Claim)
		}
	}
	for name, field := range map[string]*time.Time{"iat": &t.IssuedAt, "nbf": &t.NotBefore, "exp": &t.Expires} {
		if *field, ok = timeClaim(claims, name); !ok {
			return Token{}, errors.New("token's " + name + " is not a number")
		}
	}
	if jti, ok := claims["jti"].(string); ok && signed {
		if n, ok := strings.CutPrefix(jti, a.Instance+"-"); ok {
			t.Serial, _ = strconv.ParseUint(n, 10, 64)
		}
	}
	return t, nil
}

// userClaim returns the user whose token this is, or "" for a server token, and false if the claim
// makes no sense.
func userClaim(claims jwt.MapClaims, name string) (string, bool) {
	v, present := claims[name]
	if !present {
		return "", true
	}
	id, ok := v.(string)
	return id, ok && id != "" && len(id) <= MaxUserID
}

// timeClaim returns a claim in seconds since 1970, fractions allowed (RFC 7519 section 2), or the
// zero time if there is none, and false if it is no number.
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
