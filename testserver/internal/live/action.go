package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// The bounds of what a person may ask for.
const (
	maxDelay    = time.Minute
	maxValidity = 100 * 365 * 24 * time.Hour
	maxOffset   = 10 * 365 * 24 * time.Hour
	maxUsers    = 100
)

// An Action is a switch that a person has turned.
type Action struct {
	// Do is its name: revoke, undo, revoke-all, undo-all, log-out, auth-checks, generate, fault,
	// heal, clock or cut-sockets.
	Do string `json:"do"`

	Users    []string     `json:"users"`    // of revoke, undo and log-out
	User     string       `json:"user"`     // of generate; of cut-sockets, where empty means all
	On       bool         `json:"on"`       // of auth-checks
	Validity Milliseconds `json:"validity"` // of generate; 0: for ever
	Form     string       `json:"form"`     // of generate: token, developer or refresh
	Offset   Milliseconds `json:"offset"`   // of clock
	Fault    string       `json:"fault"`    // of fault: which one of Faults it is, by its name in JSON
	Faults   Faults       `json:"faults"`   // of fault
}

// Faults are what goes wrong until it is switched off.
type Faults struct {
	TokenDelay Milliseconds `json:"tokenDelay"` // of the token endpoint's answers
	TokenFails bool         `json:"tokenFails"` // the token endpoint answers 503
	TokenDead  bool         `json:"tokenDead"`  // tokens that it issues are revoked already
	APIDelay   Milliseconds `json:"apiDelay"`
	APIFails   bool         `json:"apiFails"` // the API answers 500
}

// With returns f with one of its switches as it stands in g. The others stay: what a page knows of
// them may be older than what another action has made of them.
func (f Faults) With(name string, g Faults) Faults {
	switch name {
	case "tokenDelay":
		f.TokenDelay = g.TokenDelay
	case "tokenFails":
		f.TokenFails = g.TokenFails
	case "tokenDead":
		f.TokenDead = g.TokenDead
	case "apiDelay":
		f.APIDelay = g.APIDelay
	case "apiFails":
		f.APIFails = g.APIFails
	}
	return f
}

// Duration returns m as one.
func (m Milliseconds) Duration() time.Duration {
	return time.Duration(float64(m) * float64(time.Millisecond))
}

// read reads an action, and says what makes no sense in it, for the person who has asked for it.
func read(body io.Reader) (Action, error) {
	var a Action
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, errors.New("this is not the JSON of an action")
	}
	return a, a.validate()
}

func (a Action) validate() error {
	users := a.Users
	if a.User != "" {
		users = append(users[:len(users):len(users)], a.User)
	}
	for _, u := range users {
		if u == "" || len(u) > login.MaxUserID {
			return fmt.Errorf("a user id has 1 to %d characters", login.MaxUserID)
		}
	}
	between := func(what string, m Milliseconds, low, high time.Duration) error {
		// The comparisons are false for what is no number.
		if m >= LengthOf(low) && m <= LengthOf(high) {
			return nil
		}
		return fmt.Errorf("%s must be between %s and %s", what, low, high)
	}
	switch a.Do {
	case "revoke", "undo", "log-out":
		if len(a.Users) == 0 || len(a.Users) > maxUsers {
			return fmt.Errorf("choose 1 to %d users", maxUsers)
		}
	case "generate":
		if a.User == "" {
			return errors.New("a token needs a user id")
		}
		return between("the validity", a.Validity, 0, maxValidity)
	case "clock":
		return between("the offset", a.Offset, -maxOffset, maxOffset)
	case "fault":
		if all := (Faults{1, true, true, 1, true}); all.With(a.Fault, Faults{}) == all {
			return errors.New("there is no such fault")
		}
		if err := between("the delay", a.Faults.TokenDelay, 0, maxDelay); err != nil {
			return err
		}
		return between("the delay", a.Faults.APIDelay, 0, maxDelay)
	}
	return nil
}
