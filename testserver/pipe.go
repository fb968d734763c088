package testserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// RoundTrip sends the request to the server through an [http.Transport] and an [http.Server] of the
// server's own, joined by connections in memory ([net.Pipe]) instead of sockets. What a client
// meets is real HTTP/1.1, keep-alive and broken connections included, and all of its waiting is
// visible to [testing/synctest].
//
// Every URL leads to this server, whatever its scheme (http or https, without any TLS), host and
// port. To join several servers under several hosts, write a RoundTripper that picks one by
// req.URL.Host.
//
// Like every http.Transport, RoundTrip itself repeats an idempotent request (a GET, or one with an
// Idempotency-Key whose body can be rewound) when a connection that had been used before breaks
// ahead of the answer. Under [Fault.Cut] such a request may arrive twice.
//
// The goroutines behind RoundTrip end with [Server.Close].
func (s *Server) RoundTrip(req *http.Request) (*http.Response, error) {
	s.init()
	return s.pipe.trans.RoundTrip(req)
}

// DialContext connects to the server in memory; network and address are ignored. It is what an
// http.Transport with settings of your own dials with inside a synctest bubble:
//
//	base := &http.Transport{DialContext: srv.DialContext, MaxConnsPerHost: 1}
func (s *Server) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.init()
	return s.pipe.dial(ctx, network, address)
}

// CloseIdleConnections closes the connections of [Server.RoundTrip] that no request is using.
// [http.Client] forwards to it.
func (s *Server) CloseIdleConnections() {
	s.init()
	s.pipe.trans.CloseIdleConnections()
}

var errClosed = errors.New("testserver: the server is closed")

// A pipe is an http.Server without sockets, and an http.Transport that reaches it.
type pipe struct {
	listener listener
	server   *http.Server
	trans    *http.Transport

	mu      sync.Mutex     // guards the fields below; never held across a wait
	running bool           // serving has its goroutine; written by the first dial
	closed  bool           // written by close
	serving sync.WaitGroup // the goroutine that accepts connections
}

// start prepares the pipe. Its goroutines start with the first dial, in the bubble of the one who
// dials.
func (p *pipe) start(h http.Handler, done <-chan struct{}) {
	p.listener = listener{conns: make(chan net.Conn), done: done}
	p.server = &http.Server{Handler: h}
	p.trans = &http.Transport{
		DialContext:         p.dial,
		DialTLSContext:      p.dial, // net/http takes its connections as past the handshake, so https URLs work too
		MaxIdleConnsPerHost: 1000,
	}
}

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := p.run(); err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	select {
	case p.listener.conns <- server:
		return client, nil
	case <-p.listener.done:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run starts the goroutine that accepts connections, once. It ends with close.
func (p *pipe) run() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if !p.running {
		p.running = true
		p.serving.Go(func() { _ = p.server.Serve(p.listener) })
	}
	return nil
}

// close ends what run started, after listener.done was closed.
func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	// Only once Serve has returned does the server know all of its connections: closed earlier, it
	// could miss one that was just accepted.
	p.serving.Wait()
	_ = p.server.Close()
	p.trans.CloseIdleConnections()
}

// A listener accepts the server's ends of the connections that dial makes.
type listener struct {
	conns chan net.Conn // unbuffered: no connection is left behind in it
	done  <-chan struct{}
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error   { return nil } // Server.Close ends Accept
func (l listener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "testserver" }
