package testserver

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	greetingLimit = 10 * time.Second // for a new socket's first frame
	maxSockets    = 10_000           // that are open at a time; the comment of Server names it
)

// A dialect is one of the two protocols that sockets are opened with.
type dialect int

const (
	feedsSocket dialect = iota // /api/v2/connect: the token comes in the first frame, dates are numbers
	chatSocket                 // /connect: the token comes in the query, dates are strings
)

// A greeting is what a client says of itself when it opens a socket: in the first frame, or in the
// query's json parameter.
type greeting struct {
	Token string      `json:"token"`
	User  userRequest `json:"user_details"`
}

// connect serves a socket from its handshake to its end.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, d dialect) {
	rt := route{"Connect", firstFrame, func(*call) (object, *failure) {
		return nil, badInput("this is a WebSocket, and the request asks for no upgrade")
	}}
	if d == chatSocket {
		rt.access = anybody
	}
	c := &call{r: r, route: rt, start: time.Now()}
	if p := s.page.Load(); p != nil {
		defer func() { p.tellCall(c) }() // a second time does nothing
	}
	s.arrive(c)
	if c.fault.Status != 0 || c.fault.Answer != nil || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		s.finish(w, c)
		return
	}
	k := newSocket(s, d)
	h := &hijacker{ResponseWriter: w}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // an Origin guards cookies, and there are none
		OnPingReceived:     k.pinged,
	})
	if err != nil {
		return // Accept has answered
	}
	defer ws.CloseNow()
	if !s.enter(h.conn) {
		return
	}
	defer s.leave(h.conn)
	ws.SetReadLimit(maxBody)
	k.ws = ws

	g, ok := k.greeting(c)
	if !ok {
		return
	}
	if d == feedsSocket {
		s.recordToken(c, g.Token)
	}
	hello, f := s.admit(c, k, g)
	defer s.forget(k)
	rejection := f != nil && f.rejected
	if !s.hold(c, rejection) {
		return
	}
	s.recordAnswer(c, rejection)
	c.rejection, c.status = rejection, http.StatusSwitchingProtocols
	if f != nil {
		c.status = f.status
	}
	if p := s.page.Load(); p != nil {
		p.tellCall(c)
	}
	if k.write(hello) != nil {
		return
	}
	if f != nil {
		_ = ws.Close(websocket.StatusNormalClosure, "") // it is over either way
		return
	}
	k.run(c.fault.Socket)
}

// greeting reads what the client says of itself. It returns false if it says nothing for too long,
// or nothing that makes sense.
func (k *socket) greeting(c *call) (g greeting, ok bool) {
	if k.dialect == chatSocket {
		_ = json.Unmarshal([]byte(c.r.URL.Query().Get("json")), &g) // what can't be read says nothing
		return g, true
	}
	ctx, cancel := context.WithTimeout(context.Background(), greetingLimit)
	defer cancel()
	_, frame, err := k.ws.Read(ctx)
	if err != nil {
		return g, false
	}
	if json.Unmarshal(frame, &g) != nil {
		_ = k.ws.Close(websocket.StatusPolicyViolation, "the first frame is not the JSON of a login")
		return g, false
	}
	return g, true
}

// admit judges a socket's token as it would a request's, and registers the socket. It returns the
// first event, which says how that went.
func (s *Server) admit(c *call, k *socket, g greeting) (hello []byte, f *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.route.access = anybody // the token is here now
	me, f := s.logIn(c, g.User)
	if f != nil {
		if f.rejected {
			s.recordRejection(c, f)
		}
		return encode(k.dialect.rejection(s.now(), f.body(c.route.op, c.duration()))), f
	}
	k.id, k.user, k.anonymous, k.token, k.record = newUUID(), c.user, c.user == "", c.token, c.attempt.Token
	k.tokenID, k.since = c.attempt.TokenID, time.Now()
	s.sockets[k.id] = k
	s.authority.Ledger.Sockets++
	return encode(k.dialect.welcome(s.now(), k.id, me)), nil
}

// logIn returns the user whose socket it is, as the greeting describes it. s.mu is held.
func (s *Server) logIn(c *call, details userRequest) (userResponse, *failure) {
	switch f := s.authenticate(c); {
	case f != nil:
		return userResponse{}, f
	case c.server:
		return userResponse{}, notAllowed("a server token opens no connection: it needs a user's")
	case c.user != "" && details.ID != "" && details.ID != c.user:
		return userResponse{}, badInput("the token is user '%s's, and user_details are those of user '%s'", c.user, details.ID)
	case len(s.sockets) >= maxSockets:
		return userResponse{}, &failure{status: http.StatusTooManyRequests, code: codeRateLimit, inner: "too many connections are open"}
	case c.user == "":
		anonymous := user{id: "!anon", role: "anonymous", created: s.now(), updated: s.now()} // who is not kept
		return anonymous.response(), nil
	}
	u := s.ensureUser(c.user)
	if details.Name != "" {
		u.name = details.Name
	}
	if details.Image != "" {
		u.image = details.Image
	}
	if details.Custom != nil {
		u.custom = details.Custom
	}
	s.keepUser(u)
	return u.response(), nil
}

// enter notes that a connection has left net/http's care. It returns false if the server is closed;
// otherwise leave must follow.
func (s *Server) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.upgraded[conn] = true
	s.sockWork.Add(1)
	return true
}

func (s *Server) leave(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.upgraded, conn)
	s.sockWork.Done()
}

// cutSockets breaks the connections of all sockets and waits for their goroutines, which then have
// nothing left to wait for. s.closed is set.
func (s *Server) cutSockets() {
	s.mu.Lock()
	conns := make([]net.Conn, 0, len(s.upgraded))
	for conn := range s.upgraded {
		conns = append(conns, conn)
	}
	s.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close() // it is over either way
	}
	s.sockWork.Wait()
}

// A hijacker remembers the connection that is taken out of net/http's hands: package websocket has
// no way to break one that is in its closing handshake.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = conn
	return conn, buf, err
}
