package recipes

import (
	"context"
	"errors"
	"slices"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// A GRPC keeps a gRPC connection's calls logged in. Of the Transport it uses the token and the
// refresh, and sends nothing through it.
//
//	login := GRPC{&transport.Transport{Provider: p}}
//	grpc.NewClient(target, tls, grpc.WithUnaryInterceptor(login.Unary), grpc.WithStreamInterceptor(login.Stream))
//
// Interceptors, because grpc.WithPerRPCCredentials alone, which x/oauth2's and Google's sources are
// made for, is not enough: credentials never see what a call was answered, so a token that was
// revoked would be sent until its own end.
type GRPC struct{ Transport *transport.Transport }

// Unary is a grpc.UnaryClientInterceptor. A call whose token is rejected (codes.Unauthenticated) is
// made once more with a new one. Without a token the caller gets a *transport.RefreshError.
func (g GRPC) Unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	for replay := false; ; replay = true {
		tok, err := g.token(ctx)
		if err != nil {
			return err
		}
		err = invoke(ctx, method, req, reply, cc, with(opts, tok)...)
		if status.Code(err) != codes.Unauthenticated {
			return err
		}
		g.Transport.Reject(tok)
		if replay {
			return err
		}
	}
}

// Stream is a grpc.StreamClientInterceptor. A stream learns only with its first answer that its
// token was rejected. If the server alone streams, all that was sent by then is the request: the
// stream is opened once more with a new token and the same request, and the caller notices nothing.
// Where the client streams, messages may have been sent that are gone: the caller gets the error,
// and a new token when it opens the stream again. So it does where a stream is rejected after its
// first message.
func (g GRPC) Stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s := &stream{login: g, replayable: !desc.ClientStreams}
	s.open = func() (err error) {
		if s.tok, err = g.token(ctx); err == nil {
			s.ClientStream, err = open(ctx, desc, cc, method, with(opts, s.tok)...)
		}
		return err
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// token returns a token, or the error of a caller that gave up in gRPC's own words.
func (g GRPC) token(ctx context.Context) (provider.Token, error) {
	tok, err := g.Transport.Token(ctx)
	if err != nil && ctx.Err() != nil {
		err = status.FromContextError(ctx.Err()).Err()
	}
	return tok, err
}

func with(opts []grpc.CallOption, tok provider.Token) []grpc.CallOption {
	return append(slices.Clip(opts), grpc.PerRPCCredentials(bearer{tok}))
}

// A stream is used as gRPC's generated code does: what the client sends of a server's stream is
// sent before the caller gets hold of it, and one goroutine reads.
type stream struct {
	grpc.ClientStream // the one that is open now
	login             GRPC
	tok               provider.Token // that it was opened with
	open              func() error

	replayable bool // the server alone streams, and has not been heard
	request    any  // what it was sent then
}

// SendMsg keeps the request: gRPC forbids to change a message that was sent.
func (s *stream) SendMsg(m any) error {
	if s.replayable {
		s.request = m
	}
	return s.ClientStream.SendMsg(m)
}

// RecvMsg is where a stream's status arrives, whatever it was that failed.
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	replay, request := s.replayable && s.request != nil, s.request
	s.replayable, s.request = false, nil
	if status.Code(err) != codes.Unauthenticated {
		return err
	}
	s.login.Transport.Reject(s.tok)
	if !replay {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	if err := errors.Join(s.ClientStream.SendMsg(request), s.ClientStream.CloseSend()); err != nil {
		return err
	}
	return s.RecvMsg(m)
}

// A bearer puts one token into one call (RFC 6750 section 2.1).
type bearer struct{ tok provider.Token }

func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	call, _ := credentials.RequestInfoFromContext(ctx)
	if credentials.CheckSecurityLevel(call.AuthInfo, credentials.PrivacyAndIntegrity) != nil {
		return nil, errors.New("the token is not sent, because the connection has no TLS")
	}
	return map[string]string{"authorization": "Bearer " + b.tok.Value()}, nil
}

// RequireTransportSecurity returns false because gRPC's own check says Unauthenticated, which would
// be taken for the server's word: see GetRequestMetadata.
func (bearer) RequireTransportSecurity() bool { return false }
