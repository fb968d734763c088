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

// A Rotation says what becomes of a refresh token that is used. testserver's type of that name
// documents it.
type Rotation int

const (
	SingleUse Rotation = iota
	SingleUseWithGrace
	Reusable
)

// A family is what one login began: refresh tokens, each made from the one before, and the tokens
// that came with them.
type family struct {
	user, client, scope string

	turn    int       // the number of the refresh token that is good now
	rotated time.Time // when it came, by the real clock
	ended   bool
	reused  bool      // why it ended: a used refresh token came again
	token   string    // the newest token, which a grace period answers again
	serial  uint64    // its number
	exp     time.Time // when it ends; zero: never
}

// A Grant is what a client gets for its login or its refresh token.
type Grant struct {
	User, Scope string
	Token       string
	Expires     time.Time // zero: never
	Refresh     string    // empty: the client goes on with the refresh token that it has
}

// Begin begins a login of the user, and returns its first refresh token. A client that is named is
// the only one to which its refresh tokens are good.
func (a *Authority) Begin(user, client, scope string) (refresh string) {
	id, _ := a.begin(user, client, scope)
	return a.refreshToken(id, 0)
}

// LogIn is Begin together with the first token.
func (a *Authority) LogIn(user, client, scope string, dead bool) Grant {
	id, f := a.begin(user, client, scope)
	a.renew(f, dead)
	return f.grant(a.refreshToken(id, 0))
}

func (a *Authority) begin(user, client, scope string) (id string, f *family) {
	f = &family{user: user, client: client, scope: scope, rotated: time.Now()}
	a.serial++
	id = strconv.FormatUint(a.serial, 10)
	a.families.Put(id, f, 0)
	return id, f
}

// Refresh gives a new token for a refresh token. A user or client that is named must be the one
// whose it is.
func (a *Authority) Refresh(value, user, client string, dead bool) (Grant, error) {
	id, turn, f := a.find(value)
	switch {
	case f == nil:
		return Grant{}, errors.New("the refresh token is unknown")
	case user != "" && user != f.user:
		return Grant{}, errors.New("the refresh token belongs to another user")
	case f.client != "" && client != f.client:
		return Grant{}, errors.New("the refresh token belongs to another client")
	case !f.ended && a.inGrace(f, turn):
		return f.grant(a.refreshToken(id, f.turn)), nil
	}
	used := turn != f.turn
	if used {
		a.Ledger.Reused++
	}
	switch {
	case f.ended && f.reused:
		return Grant{}, errors.New("the login has ended, because a refresh token was used twice")
	case f.ended:
		return Grant{}, errors.New("the login has ended")
	case used:
		f.ended, f.reused = true, true
		return Grant{}, errors.New("the refresh token was used before: the login has ended")
	}
	a.renew(f, dead)
	if a.Rotation == Reusable {
		return f.grant(""), nil
	}
	f.turn++
	f.rotated = time.Now()
	return f.grant(a.refreshToken(id, f.turn)), nil
}

// inGrace reports whether the refresh token was used last of all, and is answered again.
func (a *Authority) inGrace(f *family, turn int) bool {
	return a.Rotation == SingleUseWithGrace && turn == f.turn-1 && (a.Grace <= 0 || time.Since(f.rotated) < a.Grace)
}

// renew mints the family's next token.
func (a *Authority) renew(f *family, dead bool) {
	f.token, f.exp = a.Issue(f.user, dead)
	f.serial = a.serial
	if rec, ok := a.Ledger.Tokens.Get(ID(f.token)); ok {
		rec.family = f
	}
}

func (f *family) grant(refresh string) Grant { return Grant{f.user, f.scope, f.token, f.exp, refresh} }

// EndLogins ends all logins of a user.
func (a *Authority) EndLogins(user string) {
	for _, f := range a.families.All() {
		if f.user == user {
			f.ended = true
		}
	}
}

// EndLogin ends the login that a refresh token belongs to. It returns false if that is another
// client's, and nothing ends.
func (a *Authority) EndLogin(refresh, client string) bool {
	_, _, f := a.find(refresh)
	if f == nil {
		return true // unknown: it can't be used either way
	}
	if f.client != "" && client != f.client {
		return false
	}
	f.ended = true
	return true
}

// A Login is what is known of one login, without its refresh token.
type Login struct {
	ID, User, Client, Scope string

	Refreshes   int // how often its refresh token was used, where each is used once
	Rotated     time.Time
	Ended, Used bool // Used: it has ended because a used refresh token came again
}

// Logins returns the newest n logins, newest first.
func (a *Authority) Logins(n int) []Login {
	logins := []Login{}
	for id, f := range a.families.Newest() {
		if len(logins) == n {
			break
		}
		logins = append(logins, Login{id, f.user, f.client, f.scope, f.turn, f.rotated, f.ended, f.reused})
	}
	return logins
}

// find returns a refresh token's family and turn, or nil if it was not made here.
func (a *Authority) find(value string) (id string, turn int, f *family) {
	id, rest, _ := strings.Cut(value, ".")
	number, _, _ := strings.Cut(rest, ".")
	turn, err := strconv.Atoi(number)
	f, known := a.families.Get(id)
	if err != nil || !known || !hmac.Equal([]byte(value), []byte(a.refreshToken(id, turn))) {
		return "", 0, nil
	}
	return id, turn, f
}

// refreshToken makes the refresh token of a family's turn. Used ones need not be remembered: what
// this makes and what is not the family's turn has been used.
func (a *Authority) refreshToken(id string, turn int) string {
	head := id + "." + strconv.Itoa(turn)
	mac := hmac.New(sha256.New, []byte(a.Instance))
	mac.Write([]byte(head))
	return head + "." + hex.EncodeToString(mac.Sum(nil)[:16])
}

// Owner returns whose login a refresh token belongs to, or "".
func (a *Authority) Owner(refresh string) (user string) {
	if _, _, f := a.find(refresh); f != nil {
		return f.user
	}
	return ""
}
