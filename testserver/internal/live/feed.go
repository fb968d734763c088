package live

import (
	"container/list"
	"sync"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// What a Feed remembers. Each number bounds its memory and what a browser has to draw.
const (
	maxEvents = 4096                   // newest ones
	maxLanes  = 64                     // users that were last seen
	maxTokens = 24                     // newest ones of a user
	window    = 100 * time.Millisecond // in which at most so many are kept:
	perKind   = 5                      // of one kind of one user
	perWindow = 60                     // of all
	maxWords  = 120                    // bytes of an event's words

	// A client's words may come in another order than what they tell of. A pause in which requests
	// are served for so long has ended.
	stale = 2 * time.Second
)

// Lanes that are no user's. No user's id looks like them in the page, which marks them.
const (
	ServerLane = "\x00server"  // requests with a server token
	NobodyLane = "\x00unknown" // requests without a token, or with one that says nothing
)

// A Kind says what happened.
type Kind string

const (
	Served   Kind = "served"
	Rejected Kind = "rejected" // for its token
	Replayed Kind = "replayed" // served, and it had come before
	Failed   Kind = "failed"   // any other error, and a connection that was cut
	Held     Kind = "held"     // the client held it back
	Call     Kind = "call"     // of the token endpoint
	Pause    Kind = "pause"    // the client's requests wait for a token
)

// kinds is how many there are; index orders them.
const kinds = 7

func (k Kind) index() int {
	switch k {
	case Served:
		return 0
	case Rejected:
		return 1
	case Replayed:
		return 2
	case Failed:
		return 3
	case Held:
		return 4
	case Call:
		return 5
	default:
		return 6
	}
}

// An Event is one thing that happened, as the page draws it.
type Event struct {
	Seq    uint64       `json:"q"`
	Begin  Milliseconds `json:"t"`
	Length Milliseconds `json:"d,omitempty"`
	User   string       `json:"u"`
	Kind   Kind         `json:"k"`
	Token  string       `json:"i,omitempty"` // its id
	Status int          `json:"s,omitempty"`
	Words  string       `json:"w,omitempty"`
}

// A Feed remembers what happened lately. Its memory is bounded, and so is what it does for one
// request: no allocation, except for events that are kept. It has no goroutine.
type Feed struct {
	mu      sync.Mutex // guards the fields below; no method calls anything while it holds it
	lanes   map[string]*lane
	recent  list.List // of *lane, the one that was seen last in front
	tokens  map[string]*token
	ring    [maxEvents]Event
	next    uint64    // the sequence number of the next event; the first is 1
	now     int64     // the number of the running window
	kept    int       // events kept in it
	counted uint64    // requests, in all
	shown   uint64    // of them, those that were kept
	moved   time.Time // when the server's clock was moved last
}

type lane struct {
	user                               string
	place                              *list.Element
	tokens                             []*token // oldest first
	now                                int64    // the window that kept is about
	kept                               [kinds]uint8
	served, rejected, replayed, failed uint64

	told    bool // the client tells of itself: nothing is inferred
	seen    time.Time
	paused  time.Time // since when; zero: it is not
	calling int       // calls of the token endpoint that are under way
	called  time.Time // when the first of them began
}

// newest reports whether id is the newest token's.
func (l *lane) newest(id string) bool { return len(l.tokens) > 0 && l.tokens[len(l.tokens)-1].id == id }

type token struct {
	id, user  string
	claims    login.Token
	record    *login.TokenRecord
	mine      bool
	met, used time.Time
	cut       time.Time // when its life was seen to have ended; zero: it has not
	uses      int
}

// NewFeed returns an empty feed.
func NewFeed() *Feed {
	return &Feed{lanes: make(map[string]*lane), tokens: make(map[string]*token), next: 1}
}

// A Request is one that has been answered, or cut off.
type Request struct {
	Begin, End time.Time
	User       string // or a lane of its own
	Token      string // its id
	Kind       Kind
	Status     int    // 0: it was cut off
	Op, Detail string // what it was about; both are for people
}

// Request remembers a request to the API.
func (f *Feed) Request(r Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lane(r.User, r.End)
	f.counted++
	if t := f.tokens[r.Token]; t != nil {
		t.used = r.End
		t.uses++
	}
	switch r.Kind {
	case Rejected:
		l.rejected++
		f.inferPause(l, r)
	case Replayed:
		l.replayed++
		f.inferEnd(l, r)
	case Served:
		l.served++
		f.inferEnd(l, r)
	default:
		l.failed++
		if r.Status != 0 { // another error, under a token that was accepted
			f.inferEnd(l, r)
		}
	}
	if f.keep(l, r) {
		f.shown++
	}
}

// keep makes an event of a request, if it is one of the few that are kept. f.mu is held.
func (f *Feed) keep(l *lane, r Request) bool {
	if !f.admit(l, r.Kind, r.End) {
		return false
	}
	f.push(Event{
		Begin: TimeOf(r.Begin), Length: LengthOf(r.End.Sub(r.Begin)), User: r.User, Kind: r.Kind, Token: r.Token, Status: r.Status,
		Words: clip(r.Op, r.Detail),
	})
	return true
}

// inferPause takes the rejection of a user's newest token for the beginning of a pause. What the
// client does then can't be seen from here, so the page calls it inferred.
func (f *Feed) inferPause(l *lane, r Request) {
	if !l.told && l.paused.IsZero() && l.newest(r.Token) {
		l.paused = r.End
	}
}

// inferEnd ends such a pause with the first request under another token than the rejected one.
func (f *Feed) inferEnd(l *lane, r Request) {
	if l.paused.IsZero() || r.Begin.Before(l.paused) || !l.newest(r.Token) {
		return
	}
	if l.told {
		if r.Begin.Sub(l.paused) > stale {
			l.paused = time.Time{}
		}
		return
	}
	f.endPause(l, r.Begin, "inferred: no request came between a rejection and the next token")
}

func (f *Feed) endPause(l *lane, at time.Time, words string) {
	if f.admit(l, Pause, at) {
		f.push(Event{
			Begin: TimeOf(l.paused), Length: LengthOf(at.Sub(l.paused)), User: l.user, Kind: Pause, Words: clip(words, ""),
		})
	}
	l.paused = time.Time{}
}

// Met remembers a token that was issued, or came for the first time.
func (f *Feed) Met(id string, claims login.Token, rec *login.TokenRecord) {
	user, ok := laneOf(claims)
	if !ok {
		return
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &token{id: id, user: user, claims: claims, record: rec, met: now, mine: !rec.Issued.IsZero()}
	l := f.lane(user, now)
	if len(l.tokens) == maxTokens {
		delete(f.tokens, l.tokens[0].id)
		l.tokens = append(l.tokens[:0], l.tokens[1:]...)
	}
	l.tokens = append(l.tokens, t)
	f.tokens[id] = t
}

// laneOf returns whose lane a token belongs to, and false if it says nothing.
func laneOf(claims login.Token) (user string, ok bool) {
	switch {
	case claims.User != "":
		return claims.User, true
	case claims.Signed:
		return ServerLane, true
	}
	return NobodyLane, false
}

// LaneOf is the lane of a request with such a token.
func LaneOf(claims login.Token) string {
	user, _ := laneOf(claims)
	return user
}

// lane returns the user's lane, and makes room for it. f.mu is held.
func (f *Feed) lane(user string, now time.Time) *lane {
	l, ok := f.lanes[user]
	if !ok {
		if len(f.lanes) == maxLanes {
			last := f.recent.Remove(f.recent.Back()).(*lane)
			delete(f.lanes, last.user)
			for _, t := range last.tokens {
				delete(f.tokens, t.id)
			}
		}
		l = &lane{user: user}
		l.place = f.recent.PushFront(l)
		f.lanes[user] = l
	} else {
		f.recent.MoveToFront(l.place)
	}
	l.seen = now
	return l
}

// admit reports whether an event is one of the few in its window that are kept. f.mu is held.
func (f *Feed) admit(l *lane, k Kind, now time.Time) bool {
	n := now.UnixNano() / int64(window)
	if f.now != n {
		f.now, f.kept = n, 0
	}
	if l.now != n {
		l.now, l.kept = n, [kinds]uint8{}
	}
	i := k.index()
	if l.kept[i] == perKind || f.kept == perWindow {
		return false
	}
	l.kept[i]++
	f.kept++
	return true
}

// push keeps an event, in place of the oldest. f.mu is held.
func (f *Feed) push(e Event) {
	e.Seq = f.next
	f.ring[f.next%maxEvents] = e
	f.next++
}

// clip joins words for people, and shortens them.
func clip(a, b string) string {
	switch {
	case a == "":
		a = b
	case b != "":
		a += " " + b
	}
	if len(a) > maxWords {
		a = a[:maxWords] + "..."
	}
	return a
}
