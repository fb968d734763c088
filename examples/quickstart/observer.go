package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// An observer watches the bot from all sides and tells what it sees.
type observer struct {
	server  *testserver.Server
	backend *backend
	began   time.Time

	mu       sync.Mutex // guards the fields below
	requests int
	failed   int
	failure  error // the first
	early    int   // tokens replaced before their end
	ended    int   // tokens replaced after it, found by the clock or by a rejection
	revoked  int   // tokens replaced because they were revoked
	held     int   // requests that waited for the token after
	maxWait  time.Duration
	news     []string // since the last line
}

// trace tells the observer what the bot's transport does.
func (o *observer) trace() *transport.Trace {
	return &transport.Trace{
		RefreshDone: func(e transport.RefreshDone) {
			o.mu.Lock()
			defer o.mu.Unlock()
			switch {
			case e.Err != nil:
				o.news = append(o.news, "a refresh failed: "+e.Err.Error())
			case e.Unchanged || e.Reason == transport.ReasonInitial:
			case e.Reason == transport.ReasonEarly:
				o.early++
				o.news = append(o.news, "token about to end: replaced in the background")
			case strings.Contains(e.Message, "revoked"):
				o.revoked++
				o.held = e.Waiting
				o.news = append(o.news, fmt.Sprintf("TOKEN REVOKED: %s waited %s, then replayed",
					count(e.Waiting, "request"), e.Duration.Round(time.Millisecond)))
			default:
				o.ended++
				o.news = append(o.news, "token ended: replaced while requests waited")
			}
		},
		Waited: func(e transport.Waited) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.maxWait = max(o.maxWait, e.Duration)
		},
	}
}

func (o *observer) posted(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests++
	if err != nil {
		o.failed++
		if o.failure == nil {
			o.failure = err
			o.news = append(o.news, "A POST FAILED: "+err.Error())
		}
	}
}

func (o *observer) sawRevocation() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.revoked > 0
}

// width is how long a line is at most: it fits into any terminal, so that redrawing one leaves
// nothing behind.
const width = 60

func (o *observer) begin() {
	o.began = time.Now()
	say("A bot posts to a feed from %d goroutines. Its tokens live for %s, and one will be revoked.", posters, tokenLife)
	fmt.Println("\n  time    posts  failed  rejected  tokens")
}

// say prints a sentence in lines of at most width.
func say(format string, args ...any) {
	line := ""
	for _, word := range strings.Fields(fmt.Sprintf(format, args...)) {
		if line != "" && len(line)+1+len(word) > width {
			fmt.Println(line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	fmt.Println(line)
}

// show prints a line a second until ctx ends, and below it what happened in that second. On a
// terminal the line of the running second is redrawn as it grows: it is always as long, so there is
// nothing to erase, and no need for escape sequences.
func (o *observer) show(ctx context.Context) {
	info, err := os.Stdout.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	for second := 1; ctx.Err() == nil; second++ {
		end := o.began.Add(time.Duration(second) * time.Second)
		for terminal && pause(ctx, min(100*time.Millisecond, time.Until(end))) && time.Until(end) > 0 {
			fmt.Print("\r" + o.line(second))
		}
		pause(ctx, time.Until(end))
		if terminal {
			fmt.Print("\r")
		}
		fmt.Println(o.line(second))
		for _, news := range o.happened() {
			fmt.Println("    " + news)
		}
	}
}

func (o *observer) line(second int) string {
	rejected := o.server.Ledger().Rejected
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%4d s %8d %7d %9d %7d", second, o.requests, o.failed, rejected, o.backend.calls.Load())
}

// happened returns what is new.
func (o *observer) happened() (news []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	news, o.news = o.news, nil
	return news
}

// summary tells what has happened, last in a line for machines, and returns what should not have. A
// person who has stopped it early gets the same summary, and no word about what did not happen.
func (o *observer) summary(stopped bool) error {
	ledger := o.server.Ledger()
	arrived := 0
	for _, r := range ledger.Requests {
		if r.Effects == 1 && ledger.Tokens[r.Tokens[0]].User == user { // not the operator's
			arrived++
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	calls, expiries := int(o.backend.calls.Load()), o.early+o.ended

	fmt.Println()
	if stopped {
		say("Stopped after %s.", time.Since(o.began).Round(time.Second))
	}
	say("%s, of which %d failed; %d took effect exactly once.", count(o.requests, "post"), o.failed, arrived)
	say("%s came to an end: %d replaced in the background before a request noticed, %d while requests waited.",
		count(expiries, "token"), o.early, o.ended)
	if o.revoked > 0 {
		say("%s revoked: %s rejected, %s held back, all of them sent under the next token.",
			count(o.revoked, "token"), count(ledger.Rejected, "request"), count(o.held, "request"))
	}
	say("The backend was asked for a token %s: 1 to log in, %d for those that ended, %d for the revoked one.",
		count(calls, "time"), expiries, o.revoked)
	say("The longest that a request waited for a token: %s.", o.maxWait.Round(time.Millisecond))
	fmt.Println()
	fmt.Printf("requests=%d failed=%d expiries=%d revocations=%d provider_calls=%d rejected=%d max_wait_ms=%d\n",
		o.requests, o.failed, expiries, o.revoked, calls, ledger.Rejected, o.maxWait.Round(time.Millisecond).Milliseconds())

	err := o.server.Check()
	if o.failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d posts failed, the first: %w", o.failed, o.failure))
	}
	if arrived != o.requests {
		err = errors.Join(err, fmt.Errorf("of %d posts %d took effect", o.requests, arrived))
	}
	if !stopped && (o.revoked != 1 || ledger.Rejected == 0) {
		err = errors.Join(err, errors.New("the revocation did not bite"))
	}
	if !stopped && calls != 1+expiries+o.revoked {
		err = errors.Join(err, fmt.Errorf("%d provider calls, and %d reasons for one", calls, 1+expiries+o.revoked))
	}
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
