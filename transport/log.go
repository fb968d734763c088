package transport

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/journal"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// This file writes the log. What is said of refreshes, and when, package journal decides; the
// mistakes in a configuration that show in a request are told here.

const prefix = "stayauth: "

// note queues a line about a request.
func (t *Transport) note(level slog.Level, message string, args ...any) {
	if t.Logger != nil {
		now := time.Now()
		t.events.tell(func() { t.write(now, journal.Line{Level: level, Message: message, Args: args}) })
	}
}

// write writes l with the time of what it tells of, which is a little earlier.
func (t *Transport) write(at time.Time, l journal.Line) {
	ctx := context.Background()
	if h := t.Logger.Handler(); h.Enabled(ctx, l.Level) {
		r := slog.NewRecord(at, l.Level, prefix+l.Message, 0)
		r.Add(l.Args...)
		_ = h.Handle(ctx, r) // there is no place left to report it
	}
}

// debug writes a line at once, in the request's own goroutine.
func (t *Transport) debug(message string, args ...any) {
	if t.Logger != nil {
		t.Logger.Debug(prefix+message, args...)
	}
}

// insist tells, where there is no Logger, of a mistake that nothing else shows. It does so once for
// each Transport.
func insist(said *atomic.Bool, message string, args ...any) {
	if said.CompareAndSwap(false, true) {
		slog.Warn(prefix+message, args...)
	}
}

// tellOther401 tells of a 401 that the classifier did not take for a rejection, which is how a
// wrong secret or a wrong classifier shows.
func (t *Transport) tellOther401(req *http.Request, resp *http.Response, sent provider.Token, soFar int64) {
	const message = "a 401 was handed on: IsRejected did not take it for a rejected token"
	bare := t.IsRejected == nil && len(resp.Header.Values("WWW-Authenticate")) == 0
	if t.Logger == nil && (!bare || t.throttles.insisted401.Load()) || t.Logger != nil && !t.throttles.other401.due(t.now()) {
		return
	}
	args := []any{"request", nameOf(req), "so_far", soFar}
	if why := rejectionOf(resp, sent); why.Message != "" { // as far as the classifier has read
		args = append(args, "message", why.Message)
	}
	if bare {
		args = append(args, "hint", "there is no WWW-Authenticate header in it; if this API answers expired tokens so, set IsRejected: transport.Any401")
	}
	if t.Logger == nil {
		insist(&t.throttles.insisted401, message, args...)
		return
	}
	t.note(slog.LevelWarn, message, args...)
}

// tellBare tells of a request that goes out without the token because its origin is not in Origins.
// That is as it should be where a redirect has led to another host, and a mistake in Origins where
// the program itself sends it there. Without a Logger it is told only if no request has been given
// a token yet: then the list, and not the request, is likely to be wrong.
func (t *Transport) tellBare(req *http.Request, soFar int64) {
	switch {
	case req.Response != nil:
		return
	case t.Logger == nil:
		if t.throttles.insistedOrigin.Load() || t.everAsked() {
			return
		}
	case !t.throttles.otherOrigin.due(t.now()):
		return
	}
	const message = "a request goes out without the token: its origin is not in Origins"
	args := []any{"origin", req.URL.Scheme + "://" + req.URL.Host, "origins", t.Origins, "so_far", soFar}
	if t.Logger == nil {
		insist(&t.throttles.insistedOrigin, message, args...)
		return
	}
	t.note(slog.LevelWarn, message, args...)
}

// nameOf is what a request is called in the log: its query may hold secrets.
func nameOf(req *http.Request) string { return name(req.Method, req.URL.Host, req.URL.Path) }

func name(method, host, path string) string { return shorten(method + " " + host + path) }

// throttles are of what would otherwise be told with every request.
type throttles struct {
	other401, otherOrigin, queueFull, oneShot, panics throttle

	insisted401, insistedOrigin atomic.Bool // there is no Logger, and it was told
}

// A throttle lets something be told at once, and then as often as the journal tells of what lasts:
// after pauses that double. A pause in which there was nothing to tell begins this anew.
type throttle struct {
	next  atomic.Int64 // when it may be told again, by the monotonic clock; written by due
	pause atomic.Int64 // before next; written by the due that has moved next
}

func (l *throttle) due(now session.Instant) bool {
	next := l.next.Load()
	over := now.Run - time.Duration(next)
	if over < 0 {
		return false
	}
	last := time.Duration(l.pause.Load())
	pause := min(2*last, journal.LongestPause)
	if last == 0 || over > last {
		pause = journal.FirstPause
	}
	if !l.next.CompareAndSwap(next, int64(now.Run+pause)) {
		return false
	}
	l.pause.Store(int64(pause))
	return true
}
