package login

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A Rotation says what becomes of a refresh token that is used. testserver's type of that name documents it.
type Rotation int

const (
	SingleUse Rotation = iota
	SingleUseWithGrace
	Reusable
)

// A family is what one login began: refresh tokens, each made from the one before.
type family struct {
	user  string
	turn  int       // the number of the refresh token that is good now
	ended bool      // a used refresh token came again
	token string    // the newest token, which a grace period answers again
	exp   time.Time // when it ends; zero: never
}

// A Grant is what a client gets for its login or its refresh token.
type Grant struct {
	User    string
	Token   string
	Expires time.Time // zero: never
	Refresh string    // empty: the client goes on with the refresh token that it has
}

// LogIn begins a login of the user.
func (a *Authority) LogIn(user string, dead bool) Grant {
	f := &family{user: user}
	f.token, f.exp = a.Issue(user, dead)
	id := strconv.FormatUint(a.serial, 10)
	a.families.Put(id, f, 0)
	return f.grant(a.refreshToken(id, 0))
}

// Refresh gives a new token for a refresh token. A user that is named must be the one whose it is.
func (a *Authority) Refresh(value, user string, dead bool) (Grant, error) {
	id, rest, _ := strings.Cut(value, ".")
	number, _, _ := strings.Cut(rest, ".")
	turn, err := strconv.Atoi(number)
	f, known := a.families.Get(id)
	switch {
	case err != nil || !known || !hmac.Equal([]byte(value), []byte(a.refreshToken(id, turn))):
		return Grant{}, errors.New("the refresh token is unknown")
	case user != "" && user != f.user:
		return Grant{}, errors.New("the refresh token belongs to another user")
	case f.ended:
		return Grant{}, errors.New("the login has ended, because a refresh token was used twice")
	case a.Rotation == SingleUseWithGrace && turn == f.turn-1:
		return f.grant(a.refreshToken(id, f.turn)), nil
	case turn != f.turn:
		f.ended = true
		return Grant{}, errors.New("the refresh token was used before: the login has ended")
	}
	f.token, f.exp = a.Issue(f.user, dead)
	if a.Rotation == Reusable {
		return f.grant(""), nil
	}
	f.turn++
	return f.grant(a.refreshToken(id, f.turn)), nil
}

func (f *family) grant(refresh string) Grant { return Grant{f.user, f.token, f.exp, refresh} }

// refreshToken makes the refresh token of a family's turn. Used ones need not be remembered: what this makes and what is not
// the family's turn has been used.
func (a *Authority) refreshToken(id string, turn int) string {
	head := id + "." + strconv.Itoa(turn)
	mac := hmac.New(sha256.New, []byte(a.Instance))
	mac.Write([]byte(head))
	return head + "." + hex.EncodeToString(mac.Sum(nil)[:16])
}
