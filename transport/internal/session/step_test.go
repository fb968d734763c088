package session_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A step is one thing that happens to a Session, as a line of text:
//
//	request                 a request wants to be sent
//	upload                  so does one that can be sent only once
//	token                   somebody wants a valid token
//	own                     the provider itself sends a request
//	again t1                a request that was rejected under t1 wants to be sent again
//	reject t1               the API rejects t1
//	accept t1               the API accepts a replay under t1
//	answer t2 1h            the provider returns t2, which ends in 1h; without a time, it does not say when
//	answer t2 5m of 1h      likewise, and the token was to live for 1h in all
//	answer same             it returns the token at hand
//	fail                    the provider returns an error
//	fail for good           a permanent one
//	fail broken             one after which asking again won't help now
//	fail retry-after 1m     one that says when to come again
//	give t3 1h              another token is handed over
//	pass 1s                 both clocks go on
//	suspend 1h              the machine is suspended: only the wall clock goes on
//	clock -1h               somebody sets the wall clock
//	close                   the client logs out
//
// answer and give may end in "login x", the refresh token of the token.
type step struct {
	verb  string
	token string
	how   string // of a failure
	d     time.Duration
	whole time.Duration
	login string
}

func (s step) String() string {
	words := []string{s.verb}
	for _, w := range []string{s.token, s.how} {
		if w != "" {
			words = append(words, w)
		}
	}
	if s.d != 0 {
		words = append(words, s.d.String())
	}
	if s.whole != 0 {
		words = append(words, "of", s.whole.String())
	}
	if s.login != "" {
		words = append(words, "login", s.login)
	}
	return strings.Join(words, " ")
}

// parseStep reads what String has written.
func parseStep(line string) (s step, err error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return s, fmt.Errorf("an empty line")
	}
	s.verb, words = words[0], words[1:]
	next := func() (w string) {
		if len(words) > 0 {
			w, words = words[0], words[1:]
		}
		return w
	}
	duration := func(into *time.Duration) {
		if w := next(); err == nil {
			*into, err = time.ParseDuration(w)
		}
	}
	switch s.verb {
	case "request", "upload", "token", "own", "close":
	case "again", "reject", "accept":
		s.token = next()
	case "answer", "give":
		s.token = next()
		if len(words) > 0 && words[0] != "login" {
			duration(&s.d)
		}
		if len(words) > 0 && words[0] == "of" {
			next()
			duration(&s.whole)
		}
		if len(words) > 0 && words[0] == "login" {
			next()
			s.login = next()
		}
	case "fail":
		switch {
		case len(words) == 0:
		case words[0] == "for":
			s.how = next() + " " + next()
		default:
			if s.how = next(); s.how == "retry-after" {
				duration(&s.d)
			}
		}
	case "pass", "suspend", "clock", "late":
		duration(&s.d)
	default:
		err = fmt.Errorf("unknown step")
	}
	if err == nil && len(words) > 0 {
		err = fmt.Errorf("%q is too much", words)
	}
	if err != nil {
		err = fmt.Errorf("%q: %w", line, err)
	}
	return s, err
}

// A chance makes steps by chance.
type chance struct {
	*rand.Rand
	w     *world
	named int // tokens
}

func pick[T any](c chance, of ...T) T { return of[c.IntN(len(of))] }

// token names one that was seen, mostly the last.
func (c *chance) seen() string {
	if n := c.named; n > 0 && c.IntN(4) == 0 {
		return fmt.Sprint("t", 1+c.IntN(n))
	}
	return fmt.Sprint("t", max(c.named, 1))
}

func (c *chance) life(s step) step {
	s.d = pick(*c, 0, -time.Hour, 40*time.Millisecond, time.Second, 3*time.Second, 10*time.Second, time.Minute, time.Hour, 24*time.Hour, 150*365*24*time.Hour, 290*365*24*time.Hour)
	if s.d > 0 && c.IntN(2) == 0 {
		s.whole = pick(*c, s.d, s.d, 2*s.d, 20*s.d)
	}
	return s
}

func (c *chance) step() step {
	switch k := c.IntN(200); {
	case k < 40:
		return step{verb: "request"}
	case k < 46:
		return step{verb: "upload"}
	case k < 54:
		return step{verb: "token"}
	case k < 56:
		return step{verb: "own"}
	case k < 70:
		return step{verb: "again", token: c.seen()}
	case k < 95:
		return step{verb: "reject", token: c.seen()}
	case k < 105:
		return step{verb: "accept", token: c.seen()}
	case k < 125:
		if !c.w.calling {
			return step{verb: "request"}
		}
		if c.IntN(6) == 0 {
			return step{verb: "answer", token: "same"}
		}
		c.named++
		s := c.life(step{verb: "answer", token: fmt.Sprint("t", c.named)})
		if c.IntN(4) == 0 {
			s.login = fmt.Sprint("r", c.IntN(3))
		}
		return s
	case k < 140:
		switch c.IntN(12) {
		case 0:
			return step{verb: "fail", how: "for good"}
		case 1, 2:
			return step{verb: "fail", how: "broken"}
		case 3, 4:
			return step{verb: "fail", how: "retry-after", d: pick(*c, time.Nanosecond, time.Second, 20*time.Second, time.Minute, time.Hour)}
		}
		return step{verb: "fail"}
	case k < 142:
		c.named++
		s := c.life(step{verb: "give", token: fmt.Sprint("t", c.named)})
		if c.IntN(2) == 0 {
			s.login = fmt.Sprint("g", c.IntN(3))
		}
		return s
	case k < 143:
		return step{verb: "suspend", d: pick(*c, time.Second, time.Minute, 10*time.Hour)}
	case k < 147:
		return step{verb: "late", d: pick(*c, time.Nanosecond, time.Second, 31*time.Second, time.Minute)}
	case k < 148:
		return step{verb: "clock", d: pick(*c, -time.Hour, -time.Second, time.Second, time.Hour)}
	case k == 199 && c.IntN(10) == 0:
		return step{verb: "close"}
	}
	if w := c.w.wake; w != 0 && c.IntN(3) == 0 { // just to the next moment at which something is due, or just before it
		return step{verb: "pass", d: max(w-c.w.now.Run-time.Duration(c.IntN(2)), 1)}
	}
	return step{verb: "pass", d: pick(*c, time.Nanosecond, 10*time.Millisecond, 250*time.Millisecond, time.Second, 4*time.Second, 29*time.Second, time.Minute, 50*time.Minute)}
}
