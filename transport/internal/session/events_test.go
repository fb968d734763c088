package session_test

import (
	"errors"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/journal"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// valid reports whether by the world's own account the token at hand is good for a request.
func (w *world) valid() bool {
	return w.current != "" && !w.gone && !w.closed && w.ended == 0 && (w.end.IsZero() || !w.now.Reached(w.end))
}

func (w *world) want(s step) {
	n := session.Need{Once: s.verb == "upload", Valid: s.verb == "token", Own: s.verb == "own"}
	if s.verb == "own" && !w.calling {
		w.say("the provider is not at work")
		return
	}
	if s.verb == "again" {
		if w.views[s.token] == nil {
			w.say("%s was never sent", s.token)
			return
		}
		n.Sent, n.Why = w.views[s.token], &session.Rejection{Status: 401, Message: "rejected " + s.token}
	}
	valid, waiting := w.valid(), w.waiting
	v := w.s.Want(w.now, n)
	w.say("%s", verdict(n, v))
	switch {
	case v.View == nil && !v.Wait && v.Err == nil:
		w.broken(3, "a verdict that says nothing")
	case w.closed && n.Sent != nil && v.View != n.Sent, w.closed && n.Sent == nil && v.Err != session.ErrClosed:
		w.broken(22, "after Close: %+v", v)
	case w.closed:
	case w.over != nil && v.Err != w.over:
		w.broken(6, "the session has ended with %v, and now it is %v", w.over, v.Err)
	case valid && (v.Err != nil || v.Wait && !n.Once || v.View == nil || v.View.Token.Value() != w.current):
		w.broken(3, "the token is valid, and the verdict is %+v", v)
	case n.Own && v.Wait:
		w.broken(9, "the provider waits for itself")
	case v.View != nil && v.View != n.Sent && w.gone && v.View.Token.Value() == w.current && (w.strikes <= session.Patience || n.Valid || n.Sent != nil):
		w.broken(7, "a rejected token is handed out after %d strikes, to %+v", w.strikes, n)
	case w.gone && w.strikes > session.Patience && w.over == nil && !w.doomed && !n.Once && !n.Valid && n.Sent == nil && !n.Own &&
		(w.end.IsZero() || !w.now.Reached(w.end)) && (v.View == nil || v.Wait):
		w.broken(7, "after %d strikes a request gets %+v", w.strikes, v)
	case v.View != nil && v.View != n.Sent && v.View.Token.Value() != w.current:
		w.broken(2, "%s is handed out, and %s is current", v.View.Token.Value(), w.current)
	}
	if e, ok := v.Err.(*session.Error); ok && e.Permanent {
		if !w.doomed {
			w.broken(6, "an end without a permanent failure")
		}
		w.over = v.Err
	}
	if e, ok := v.Err.(*session.Error); ok && !e.Permanent && w.now.Wall.After(e.NextTry) {
		w.broken(6, "the next try was %s ago", w.now.Wall.Sub(e.NextTry))
	}
	if v.Wait {
		if waiting == 0 || w.waiting == 0 {
			w.since = w.now
		}
		w.waiting++
	}
	w.act()
	if v.Err != nil {
		w.tell((*journal.Journal).Failing)
	}
	if left := w.now.Until(w.end); valid && !n.Own && !w.end.IsZero() && !w.tried && left <= min(w.arrived.Until(w.end)/5, time.Hour) &&
		w.s.Status().Refreshing.IsZero() && (w.busy.IsZero() || w.now.Reached(w.busy)) && !w.doomed {
		w.broken(3, "the token ends in %s, and no refresh is under way", left)
	}
}

func (w *world) reject(token string) {
	if w.views[token] == nil {
		w.say("%s was never sent", token)
		return
	}
	k := w.s.Reject(w.now, w.views[token].Token, &session.Rejection{Status: 401, Message: "rejected " + token})
	w.tell(func(j *journal.Journal, s journal.Scene) { j.Rejection(s, k, journal.Request{}) })
	switch {
	case w.closed:
	case token != w.current:
		if k.Counted {
			w.broken(2, "the late rejection of %s counts, and %s is current", token, w.current)
		}
	case !w.gone && w.ended == 0 && !k.Counted:
		w.broken(7, "the rejection of the current token does not count")
	}
	if k.Counted {
		if w.gone {
			w.broken(7, "a second rejection of one token counts")
		}
		stood := -w.now.Until(w.arrived)
		if stood >= max(4*time.Second, pauseAfter(w.strikes+1)) {
			w.strikes = 0
		}
		w.strikes++
		w.gone, w.dead[token] = true, true
		w.say("strike %d, the provider may be asked in %s", k.Strikes, k.Pause)
	} else {
		w.say("it is late, or known")
	}
	w.act()
}

// pauseAfter is law 7's table.
func pauseAfter(strikes int) time.Duration {
	return []time.Duration{0, 0, 250 * time.Millisecond, time.Second, 4 * time.Second, 16 * time.Second, 30 * time.Second}[min(strikes, 6)]
}

func (w *world) accept(token string) {
	if w.views[token] == nil {
		w.say("%s was never sent", token)
		return
	}
	n := w.s.Accept(w.views[token])
	if token == w.current && !w.gone {
		w.strikes = 0
	}
	w.say("%d strikes end", n)
	w.act()
}

// tokenOf makes the token of a step.
func (w *world) tokenOf(s step) provider.Token {
	value := s.token
	if value == "same" {
		value = w.current
	}
	if value == "" {
		value = "first"
	}
	var end time.Time
	if s.d != 0 {
		end = w.now.Wall.Add(s.d)
	}
	return provider.NewToken(value, end).WithLifetime(s.whole).WithRefreshToken(s.login)
}

// arrive notes that tok is the token at hand.
func (w *world) arrive(tok provider.Token) {
	same := tok.Value() == w.current
	if same && w.gone {
		w.strikes++ // the rejected token brought again is a strike
	} else {
		w.gone = false
	}
	if !same {
		w.tried = false
		w.early, w.over, w.doomed, w.ended = 0, nil, false, 0
	}
	w.current, w.login, w.stated = tok.Value(), tok.RefreshToken(), tok.Expiry()
	w.pause, w.failed = session.Instant{}, 0
}

// prolonged reports whether tok, which is the token at hand, lives longer than was known.
func (w *world) prolonged(tok provider.Token) bool {
	if tok.Expiry().IsZero() != w.stated.IsZero() {
		return true
	}
	return !w.end.IsZero() && tok.Expiry().Sub(w.stated) > max(time.Second, w.now.Until(w.end)/2)
}

func (w *world) answer(s step) {
	if !w.calling {
		w.say("the provider is not at work")
		return
	}
	var a session.Answer
	switch {
	case s.verb == "answer":
		a.Token = w.tokenOf(s)
	case s.how == "for good":
		a.Err, a.Permanent = errors.New("gone"), true
	case s.how == "broken":
		a.Err, a.Final = errors.New("it panicked"), true
	case s.how == "retry-after":
		a.Err, a.RetryAfter = errors.New("busy"), s.d
	default:
		a.Err = errors.New("a blip")
	}
	// Another token was handed over since, of another login, or one on which alone it depends.
	foreign := w.current != "" && w.current != w.replaced && (w.login != w.replace || w.replace == "" && (!w.under || a.Permanent))
	w.calling, w.hinted = false, a.RetryAfter > 0
	before, live := w.current, w.valid()
	if !w.closed && !foreign {
		switch {
		case a.Err == nil:
			stood := -w.now.Until(w.arrived) >= max(4*time.Second, pauseAfter(w.strikes+1))
			if before != "" && !w.gone && a.Token.Value() != before && (w.early > 0 || stood) {
				w.strikes = 0
			}
			if !live || a.Token.Value() != before || w.prolonged(a.Token) {
				w.arrived = w.now
			}
			w.arrive(a.Token)
		case a.RetryAfter > 0:
			w.busy = w.now.Add(a.RetryAfter)
		case a.Permanent:
			w.doomed = true
		}
	}
	w.s.Answered(w.now, a)
	if a.Err == nil && !w.closed && !foreign && !w.gone {
		if v := w.s.Ready0(); v == nil || v.Token.Value() != a.Token.Value() {
			w.broken(9, "the token %s has come, and is lost", a.Token.Value())
		}
	}
	w.act()
}

func (w *world) give(s step) {
	tok := w.tokenOf(s)
	want := !w.closed && !(w.gone && tok.Value() == w.current)
	if got := w.s.Give(w.now, tok); got != want {
		w.broken(22, "Give %s: %t, want %t", tok.Value(), got, want)
	}
	if !want {
		w.say("not taken")
		return
	}
	if tok.RefreshToken() == "" {
		tok = tok.WithRefreshToken(w.login)
	}
	w.tried = false
	w.early, w.over, w.doomed, w.ended = 0, nil, false, 0
	w.arrive(tok)
	w.arrived = w.now
	w.tell((*journal.Journal).Given)
	w.act()
}
