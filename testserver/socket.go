package testserver

import (
	"bytes"
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

const (
	maxQueued  = 1000             // events that wait for a client to read them; the comment of Server names it
	writeLimit = 10 * time.Second // for a client to take one
)

// A socket is a client's open connection. The goroutine that net/http gave it writes, and a second
// one reads; both end with the connection.
type socket struct {
	server  *Server
	dialect dialect
	ws      *websocket.Conn
	queue   chan []byte   // encoded events
	end     chan int      // a close code: the connection is to be closed
	recheck chan struct{} // something has changed that may have killed the token
	silent  atomic.Bool   // SocketFault.Silent has begun; written by run

	// Written by admit, before anyone else knows the socket:
	id        string
	user      string // empty: anonymous
	anonymous bool
	token     login.Token
	record    *login.TokenRecord
	tokenID   string
	since     time.Time // by the real clock

	watching map[string]bool // feeds, as "group:id"; guarded by server.mu
}

func newSocket(s *Server, d dialect) *socket {
	return &socket{
		server: s, dialect: d, queue: make(chan []byte, maxQueued), end: make(chan int, 1), recheck: make(chan struct{}, 1),
		watching: make(map[string]bool),
	}
}

// run works for the socket until its connection ends.
func (k *socket) run(fault SocketFault) {
	gone := make(chan struct{})
	go func() { // ends with the connection, which is closed when run returns
		defer close(gone)
		k.read()
	}()
	defer func() {
		_ = k.ws.CloseNow() // it is over either way
		<-gone
	}()
	expiry := time.NewTimer(time.Nanosecond) // the first look at the token's end is now; with 0 the race detector crashes in a synctest bubble
	defer expiry.Stop()
	var due <-chan time.Time
	if fault.Silent || fault.Close != 0 {
		timer := time.NewTimer(fault.After)
		defer timer.Stop()
		due = timer.C
	}
	for {
		select {
		case event := <-k.queue:
			if !k.silent.Load() && k.write(event) != nil {
				return
			}
		case <-due:
			if fault.Close != 0 {
				k.close(fault.Close)
				return
			}
			k.silent.Store(true)
		case code := <-k.end:
			k.close(code)
			return
		case <-expiry.C:
			if !k.mayStay(expiry) {
				return
			}
		case <-k.recheck:
			if !k.mayStay(expiry) {
				return
			}
		case <-gone:
			return
		case <-k.server.done:
			return
		}
	}
}

// mayStay returns false if the client was told that its token is dead: see [Server.PushExpiry]. It
// sets the timer for the next look at a token that will end.
func (k *socket) mayStay(next *time.Timer) bool {
	s := k.server
	if !s.PushExpiry || k.anonymous || k.silent.Load() {
		return true
	}
	s.mu.Lock()
	now := s.now()
	f := s.judge(k.token, k.record)
	s.mu.Unlock()
	switch {
	case f != nil:
		if k.write(encode(k.dialect.rejection(now, f.body("Connect", "0.00ms")))) == nil {
			_ = k.ws.Close(websocket.StatusPolicyViolation, "") // it is over either way; Stream's clients would not come back after 1000
		}
		return false
	case !k.token.Expires.IsZero():
		next.Reset(k.token.Expires.Sub(now))
	}
	return true
}

// close ends the connection with a close code, or by breaking it: see [SocketFault.Close].
func (k *socket) close(code int) {
	if code == int(websocket.StatusAbnormalClosure) {
		_ = k.ws.CloseNow() // it is over either way
		return
	}
	_ = k.ws.Close(websocket.StatusCode(code), "closed by the test")
}

// read takes what the client sends. All that means anything is its sign of life.
func (k *socket) read() {
	for {
		_, frame, err := k.ws.Read(context.Background()) // ends with the connection
		if err != nil {
			return
		}
		if isHealthCheck(frame) {
			k.sendHealthCheck()
		}
	}
}

// isHealthCheck reports whether a frame is a sign of life. JavaScript clients send it in an array,
// others as an object.
func isHealthCheck(frame []byte) bool {
	type message struct {
		Type string `json:"type"`
	}
	list := make([]message, 1)
	if bytes.HasPrefix(bytes.TrimSpace(frame), []byte("[")) {
		return json.Unmarshal(frame, &list) == nil && len(list) > 0 && list[0].Type == "health.check"
	}
	return json.Unmarshal(frame, &list[0]) == nil && list[0].Type == "health.check"
}

// pinged answers a WebSocket ping, which is how some clients give a sign of life: by a pong and by
// the event as well. It returns false where nothing is to be answered.
func (k *socket) pinged(context.Context, []byte) bool {
	if k.silent.Load() {
		return false
	}
	if k.id != "" { // or it is not known yet whose it is
		k.sendHealthCheck()
	}
	return true
}

func (k *socket) sendHealthCheck() {
	k.server.mu.Lock()
	now := k.server.now()
	k.server.mu.Unlock()
	k.send(encode(object{"type": "health.check", "connection_id": k.id, "created_at": k.dialect.date(now), "custom": object{}}))
}

// send queues an event. A client that doesn't read what it is sent loses its connection.
func (k *socket) send(event []byte) {
	select {
	case k.queue <- event:
	default:
		k.shut(int(websocket.StatusAbnormalClosure))
	}
}

// shut asks run to close the connection.
func (k *socket) shut(code int) {
	select {
	case k.end <- code:
	default: // it has been asked already
	}
}

func (k *socket) write(frame []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
	defer cancel()
	return k.ws.Write(ctx, websocket.MessageText, frame)
}

// CloseSockets closes the open sockets of a user, or all of them if userID is empty, and returns
// how many there were. It is what a restart of the API, or of something on the way to it, looks
// like to clients that are connected. The code is as in [SocketFault]: 1006 breaks the connections,
// 1000 tells clients not to come back, and others to reconnect.
func (s *Server) CloseSockets(userID string, code int) int {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, k := range s.sockets {
		if userID == "" || k.user == userID {
			k.shut(code)
			n++
		}
	}
	return n
}

// recheckSockets has every socket look whether its token still lives. s.mu is held.
func (s *Server) recheckSockets() {
	for _, k := range s.sockets {
		select {
		case k.recheck <- struct{}{}:
		default: // it is about to look
		}
	}
}
