package recipes_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// A grpcServer is gRPC's health service behind one token, which is the number of its revocations.
type grpcServer struct {
	issued, called atomic.Int64
	broken         atomic.Bool   // rejects every token
	ends           chan struct{} // if not nil, its closing revokes what streams run on
	listener       *bufconn.Listener
	creds          credentials.TransportCredentials // of a client
}

func newGRPCServer(t *testing.T, secure bool) *grpcServer {
	s := &grpcServer{listener: bufconn.Listen(1 << 16), creds: insecure.NewCredentials()}
	opts := []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := s.judge(ctx); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := s.judge(stream.Context()); err != nil {
				return err
			}
			if s.ends == nil {
				return next(srv, stream)
			}
			go next(srv, stream) // ends with the stream
			<-s.ends
			return status.Error(codes.Unauthenticated, "the token was revoked")
		}),
	}
	if secure {
		web := httptest.NewTLSServer(nil) // for its certificate
		web.Close()
		pool := x509.NewCertPool()
		pool.AddCert(web.Certificate())
		s.creds = credentials.NewClientTLSFromCert(pool, "example.com")
		opts = append(opts, grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	}
	server := grpc.NewServer(opts...)
	service := health.NewServer()
	service.SetServingStatus("watched", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, service)
	done := make(chan error, 1)
	go func() { done <- server.Serve(s.listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *grpcServer) judge(ctx context.Context) error {
	s.called.Add(1)
	md, _ := metadata.FromIncomingContext(ctx)
	if got := md.Get("authorization"); s.broken.Load() || len(got) != 1 || got[0] != "Bearer "+strconv.FormatInt(s.issued.Load(), 10) {
		return status.Error(codes.Unauthenticated, "the token was revoked")
	}
	return nil
}

func (s *grpcServer) client(t *testing.T, login recipes.GRPC) grpc_health_v1.HealthClient {
	t.Helper()
	return grpc_health_v1.NewHealthClient(s.conn(t, login))
}

func (s *grpcServer) conn(t *testing.T, login recipes.GRPC) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///health", grpc.WithTransportCredentials(s.creds),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.listener.DialContext(ctx) }),
		grpc.WithUnaryInterceptor(login.Unary), grpc.WithStreamInterceptor(login.Stream))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// login returns a login whose provider counts its calls.
func (s *grpcServer) login(calls *atomic.Int64) recipes.GRPC {
	return recipes.GRPC{Transport: &transport.Transport{Provider: provider.Func(func(context.Context) (string, error) {
		calls.Add(1)
		return strconv.FormatInt(s.issued.Load(), 10), nil
	})}}
}

func TestGRPCUnary(t *testing.T) {
	var calls atomic.Int64
	s := newGRPCServer(t, true)
	login := s.login(&calls)
	client := s.client(t, login)
	check := func(ctx context.Context) error {
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}

	want(t, "first", check(t.Context()), nil)
	s.issued.Add(1)
	want(t, "after the revocation", check(t.Context()), nil)
	want(t, "provider calls", calls.Load(), 2)
	want(t, "calls that arrived", s.called.Load(), 3)

	s.issued.Add(1)
	s.broken.Store(true)
	want(t, "with every token rejected", status.Code(check(t.Context())), codes.Unauthenticated)
	want(t, "calls that arrived", s.called.Load(), 5)

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, "a caller that has gone", status.Code(check(gone)), codes.Canceled)
	login.Transport.Close()
	if err := check(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A server's stream that is rejected before its first message is opened again by itself.
func TestGRPCServerStream(t *testing.T) {
	var calls atomic.Int64
	s := newGRPCServer(t, true)
	login := s.login(&calls)
	defer login.Transport.Close()
	client := s.client(t, login)
	watch := func() error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: "watched"})
		if err != nil {
			return err
		}
		got, err := stream.Recv()
		if err == nil && got.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			err = errors.New("the request has not come again as it was: the service is " + got.Status.String())
		}
		return err
	}

	want(t, "first", watch(), nil)
	s.issued.Add(1)
	want(t, "after the revocation", watch(), nil)
	want(t, "provider calls", calls.Load(), 2)
	want(t, "streams that arrived", s.called.Load(), 3)

	s.issued.Add(1)
	s.broken.Store(true)
	want(t, "with every token rejected", status.Code(watch()), codes.Unauthenticated)
	want(t, "streams that arrived", s.called.Load(), 5)
}

// What follows a first message is not asked for again: the caller would get it twice.
func TestGRPCStreamRejectedLater(t *testing.T) {
	var calls atomic.Int64
	s := newGRPCServer(t, true)
	s.ends = make(chan struct{})
	login := s.login(&calls)
	defer login.Transport.Close()
	watch, err := s.client(t, login).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "watched"})
	if err == nil {
		_, err = watch.Recv()
	}
	want(t, "the first message", err, nil)
	s.issued.Add(1)
	close(s.ends)
	_, err = watch.Recv()
	want(t, "the second", status.Code(err), codes.Unauthenticated)
	want(t, "streams that arrived", s.called.Load(), 1)
	_, err = login.Transport.Token(t.Context())
	want(t, "the next token", err, nil)
	want(t, "provider calls", calls.Load(), 2)
}

// Where the client streams, the caller is told, and has a new token when it opens the stream again.
func TestGRPCClientStream(t *testing.T) {
	var calls atomic.Int64
	s := newGRPCServer(t, true)
	login := s.login(&calls)
	defer login.Transport.Close()
	conn := s.conn(t, login)
	talk := func() error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, grpc_health_v1.Health_Watch_FullMethodName)
		if err != nil {
			return err
		}
		// RecvMsg tells what became of them.
		_, _ = stream.SendMsg(&grpc_health_v1.HealthCheckRequest{}), stream.CloseSend()
		return stream.RecvMsg(new(grpc_health_v1.HealthCheckResponse))
	}

	want(t, "first", talk(), nil)
	s.issued.Add(1)
	want(t, "after the revocation", status.Code(talk()), codes.Unauthenticated)
	want(t, "opened again", talk(), nil)
	want(t, "provider calls", calls.Load(), 2)
	want(t, "streams that arrived", s.called.Load(), 3)
}

func TestGRPCWithoutTLS(t *testing.T) {
	var calls atomic.Int64
	s := newGRPCServer(t, false)
	login := s.login(&calls)
	defer login.Transport.Close()

	_, err := s.client(t, login).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	want(t, "the code", status.Code(err), codes.Internal)
	want(t, "calls that arrived", s.called.Load(), 0)
	want(t, "provider calls", calls.Load(), 1)
}
