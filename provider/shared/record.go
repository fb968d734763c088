package shared

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A loginRecord is what the processes that share a login know about it. Its secrets sit in a Token, so that it shows none
// when somebody prints a Login.
type loginRecord struct {
	login      string // names one login: made anew whenever somebody logs in, kept through its refreshes
	generation uint64 // counts the tokens, logins and logouts under the key
	base       string // the login that this record was an answer to; in memory only

	token     provider.Token
	dead      string // why the backend refused the login for good; "" if it did not
	forgotten bool   // logged out: the tombstone

	attempts uint64        // counts the attempts that have ended, however they did
	failure  *loginFailure // how the last one failed; nil if it brought a token or a permanent refusal

	holder string        // who works on the next token; "" for nobody
	lease  time.Duration // how long holder may be silent
}

type loginFailure struct {
	reason     string
	retryAfter time.Duration
}

// empty reports whether there is nothing to refresh with.
func (r loginRecord) empty() bool { return r.token.IsZero() && r.token.RefreshToken() == "" }

// live reports whether the token can be used, as far as its own expiry tells.
func (r loginRecord) live() bool {
	e := r.token.Expiry()
	return !r.token.IsZero() && (e.IsZero() || time.Now().Before(e))
}

// ended reports whether the login is over: refused for good, or forgotten.
func (r loginRecord) ended() bool { return r.forgotten || r.dead != "" }

// why says how the login ended.
func (r loginRecord) why() string {
	if r.dead != "" {
		return r.dead
	}
	return "it was logged out"
}

// follows reports whether r is a successor of s and may take its place, whoever holds the lease in s and also if s was marked
// dead: r's token came from the backend, while s holds the secret that was spent on it.
func (r loginRecord) follows(s loginRecord) bool {
	switch {
	case s.generation == 0: // there was no login yet, or the store lost it
		return true
	case s.login == r.login:
		return s.generation < r.generation
	default:
		return s.login == r.base && s.generation == r.generation-1
	}
}

// same reports whether r and s hold the very same token of the same login.
func (r loginRecord) same(s loginRecord) bool {
	return r.login == s.login && r.generation == s.generation && r.token.Equal(s.token)
}

// recordFormat is the version of loginDocument. Every change to it, if only a new field, needs another number: an older
// program would drop the field when it writes.
const recordFormat = 1

// loginDocument is the record as it is stored. It contains timestamps only for the API's clock (Expiry), never for the
// processes' own.
type loginDocument struct {
	Format     int             `json:"format"`
	Login      string          `json:"login,omitempty"`
	Generation uint64          `json:"generation"`
	Token      string          `json:"token,omitempty"`
	Refresh    string          `json:"refresh,omitempty"`
	Expiry     time.Time       `json:"expiry,omitzero"`
	Lifetime   time.Duration   `json:"lifetime_ns,omitempty"`
	Dead       string          `json:"dead,omitempty"`
	Forgotten  bool            `json:"forgotten,omitempty"`
	Attempts   uint64          `json:"attempts"`
	Failure    *failedDocument `json:"failure,omitempty"`
	Holder     string          `json:"holder,omitempty"`
	Lease      time.Duration   `json:"lease_ns,omitempty"`
}

type failedDocument struct {
	Reason     string        `json:"reason"`
	RetryAfter time.Duration `json:"retry_after_ns,omitempty"`
}

func (r loginRecord) encode() ([]byte, error) {
	d := loginDocument{
		Format: recordFormat, Login: r.login, Generation: r.generation, Token: r.token.Value(), Refresh: r.token.RefreshToken(),
		Expiry: storableTime(r.token.Expiry()), Lifetime: r.token.Lifetime(), Dead: r.dead, Forgotten: r.forgotten,
		Attempts: r.attempts, Holder: r.holder, Lease: r.lease,
	}
	if f := r.failure; f != nil {
		d.Failure = &failedDocument{Reason: f.reason, RetryAfter: f.retryAfter}
	}
	return json.Marshal(d)
}

// storableTime returns t as JSON can hold it: RFC 3339 has four digits for the year, and a JWT's exp any number.
func storableTime(t time.Time) time.Time {
	first, last := time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	switch t = t.UTC(); {
	case t.IsZero():
		return time.Time{}
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t
}

// storable returns t with an expiry that a record can hold.
func storable(t provider.Token) provider.Token {
	return provider.NewToken(t.Value(), storableTime(t.Expiry())).WithRefreshToken(t.RefreshToken()).WithLifetime(t.Lifetime())
}

// decodeRecord is strict: a record that is not understood completely must not be replaced by what was understood of it. Its
// errors don't quote the record.
func decodeRecord(data []byte) (loginRecord, error) {
	var version struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(data, &version) != nil { // which takes no more than one document
		return loginRecord{}, errors.New("is damaged")
	}
	if version.Format != recordFormat {
		return loginRecord{}, fmt.Errorf("has format %d, and this program knows format %d only", version.Format, recordFormat)
	}
	var d loginDocument
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if dec.Decode(&d) != nil {
		return loginRecord{}, errors.New("is damaged")
	}
	if (d.Holder != "") != (d.Lease > 0) {
		return loginRecord{}, errors.New("is damaged")
	}
	t := provider.NewToken(d.Token, d.Expiry).WithRefreshToken(d.Refresh).WithLifetime(d.Lifetime)
	r := loginRecord{
		login: d.Login, generation: d.Generation, base: d.Login, token: t, dead: d.Dead, forgotten: d.Forgotten,
		attempts: d.Attempts, holder: d.Holder, lease: d.Lease,
	}
	if f := d.Failure; f != nil {
		r.failure = &loginFailure{reason: f.Reason, retryAfter: f.RetryAfter}
	}
	return r, nil
}

// reasonOf returns what err says as it goes into a record, where others read it.
func reasonOf(err error) string {
	const most = 500
	reason := strings.ToValidUTF8(err.Error(), "?")
	if len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") + "..."
	}
	return cmp.Or(reason, "no reason was given")
}
