package lease

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stayauth/stayauth/provider"
)

// format is the version of document. Every change to it, if only a new field, needs another number:
// an older program would drop the field when it writes.
const format = 2

// document is a Record as it is stored.
type document struct {
	Format     int               `json:"format"`
	Login      string            `json:"login,omitempty"`
	Epoch      uint64            `json:"epoch,omitempty"`
	Generation uint64            `json:"generation"`
	Token      string            `json:"token,omitempty"`
	Refresh    string            `json:"refresh,omitempty"`
	Expiry     time.Time         `json:"expiry,omitzero"`
	Lifetime   time.Duration     `json:"lifetime_ns,omitempty"`
	Extras     map[string]string `json:"extras,omitempty"`
	Dead       string            `json:"dead,omitempty"`
	Forgotten  bool              `json:"forgotten,omitempty"`
	Attempts   uint64            `json:"attempts"`
	Failure    *failureDocument  `json:"failure,omitempty"`
	Holder     string            `json:"holder,omitempty"`
	Lease      time.Duration     `json:"lease_ns,omitempty"`
	Silent     time.Duration     `json:"silent_ns,omitempty"`
	Locked     bool              `json:"locked,omitempty"`
}

type failureDocument struct {
	Reason     string        `json:"reason"`
	RetryAfter time.Duration `json:"retry_after_ns,omitempty"`
	NoRetry    bool          `json:"no_retry,omitempty"`
}

// Encode returns r as it is stored.
func (r Record) Encode() ([]byte, error) {
	if err := storable(r.Token); err != nil {
		return nil, err
	}
	d := document{
		Format: format, Login: r.Login, Epoch: r.Epoch, Generation: r.Generation, Token: r.Token.Value(), Refresh: r.Token.RefreshToken(),
		Expiry: storableTime(r.Token.Expiry()), Lifetime: r.Token.Lifetime(), Extras: r.Token.Extras(), Dead: r.Dead, Forgotten: r.Forgotten,
		Attempts: r.Attempts, Holder: r.Holder, Lease: r.Lease, Silent: r.Silent, Locked: r.Locked,
	}
	if f := r.Failure; f != nil {
		d.Failure = (*failureDocument)(f)
	}
	return json.Marshal(d)
}

// storable returns why t can't be kept, or nil. JSON is UTF-8 and would put marks in place of other
// bytes; OAuth 2.0 has no such tokens (RFC 6749, appendix A).
func storable(t provider.Token) error {
	if !utf8.ValidString(t.Value()) || !utf8.ValidString(t.RefreshToken()) {
		return errors.New("it has bytes that are not UTF-8")
	}
	return nil
}

// Storable returns t with an expiry that a record can hold.
func Storable(t provider.Token) provider.Token {
	return provider.NewToken(t.Value(), storableTime(t.Expiry())).
		WithLifetime(t.Lifetime()).WithRefreshToken(t.RefreshToken()).WithExtras(t.Extras())
}

// storableTime returns t as JSON can hold it: RFC 3339 has four digits for the year, and a JWT's
// exp any number.
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

// Decode reads what Encode returned. It is strict: a record that is not understood completely must
// not be replaced by what was understood of it. Its errors don't quote the record.
func Decode(data []byte) (Record, error) {
	var d document
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(&d)
	if err != nil || d.Format != format { // it may be another format, whose fields are unknown
		var version struct {
			Format int `json:"format"`
		}
		if json.Unmarshal(data, &version) == nil && version.Format != format {
			return Record{}, fmt.Errorf("has format %d, and this program knows format %d only", version.Format, format)
		}
		return Record{}, errDamaged
	}
	if _, err := dec.Token(); err != io.EOF { // more than one document
		return Record{}, errDamaged
	}
	if (d.Holder != "") != (d.Lease > 0) || d.Silent < 0 || d.Silent > d.Lease {
		return Record{}, errDamaged
	}
	if max(d.Epoch, d.Generation, d.Attempts) > math.MaxInt64 { // which nothing can be counted on from
		return Record{}, errDamaged
	}
	r := Record{
		Login: d.Login, Epoch: d.Epoch, Generation: d.Generation,
		Token: provider.NewToken(d.Token, d.Expiry).WithLifetime(d.Lifetime).WithRefreshToken(d.Refresh).WithExtras(d.Extras),
		Dead:  d.Dead, Forgotten: d.Forgotten, Attempts: d.Attempts, Holder: d.Holder, Lease: d.Lease, Silent: d.Silent, Locked: d.Locked,
	}
	if f := d.Failure; f != nil {
		r.Failure = (*Failure)(f)
	}
	return r, nil
}

var errDamaged = errors.New("is damaged")

// Reason returns what err says as it goes into a record, where others read it.
func Reason(err error) string {
	const most = 500
	reason := strings.ToValidUTF8(err.Error(), "?")
	if len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") + "..."
	}
	return cmp.Or(reason, "no reason was given")
}
