package recipes

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Traced returns a client over t whose requests OpenTelemetry sees from both sides: outside as the
// program does, with the time that they wait for a token, and inside each attempt as it is sent,
// the rejected ones too. The attempt is what the server's spans hang on. Only with both can one
// tell a slow login from a slow API.
//
// Each refresh is a span too. It is the root of a trace of its own, because it belongs to no
// request: those that waited for it are linked to it. The provider is called in it, so that its own
// calls are the span's children, if its client is one of [TracedClient].
//
// It sets t's Base, Provider and Trace, so call it before the first request.
func Traced(t *transport.Transport, tp trace.TracerProvider) *http.Client {
	r := &refreshes{provider: t.Provider, tracer: tp.Tracer("recipes")}
	t.Base = traced(t.Base, tp, "attempt") // nil is the default transport here, too
	t.Provider = r
	t.Trace = &transport.Trace{RefreshDone: r.done, Waited: r.waited}
	return &http.Client{Transport: traced(t, tp, "request")}
}

// TracedClient returns a client for a provider, such as [provider.OAuth2.Client]. A nil base is the
// default transport.
func TracedClient(base http.RoundTripper, tp trace.TracerProvider) *http.Client {
	return &http.Client{Transport: traced(base, tp, "provider"), Timeout: 30 * time.Second}
}

func traced(rt http.RoundTripper, tp trace.TracerProvider, name string) http.RoundTripper {
	return otelhttp.NewTransport(rt, otelhttp.WithTracerProvider(tp), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return name + " " + r.Method }))
}

// refreshes is a TokenProvider whose calls are made in spans, one for each refresh.
//
// The span begins with the refresh's first call, and what else there is to say of it comes later,
// by RefreshDone, when the next refresh may have begun. So spans wait for their end in the order of
// the refreshes, which is that of the hook's calls.
type refreshes struct {
	provider provider.TokenProvider
	tracer   trace.Tracer

	mu     sync.Mutex        // guards the fields below; never held across a call
	now    trace.Span        // of the refresh whose calls are made; nil: the next call begins one
	ending []trace.Span      // of those that have their token, or their permanent error
	newest trace.SpanContext // of the refresh that began last
}

// Token implements [provider.TokenProvider].
func (r *refreshes) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	r.mu.Lock()
	if r.now == nil {
		_, r.now = r.tracer.Start(ctx, "refresh", trace.WithNewRoot())
		r.newest = r.now.SpanContext()
	}
	span := r.now
	r.mu.Unlock()

	tok, err := r.provider.Token(trace.ContextWithSpan(ctx, span), old)

	r.mu.Lock()
	defer r.mu.Unlock()
	again := tok.Value() == old.Value() // so that there is another call, or the refresh ends without a token
	if err != nil {
		span.RecordError(err) // it never holds a token
		again = !provider.IsPermanent(err) && !provider.IsNoRetry(err)
	}
	if !again && r.now == span { // else it was given up meanwhile
		r.ending = append(r.ending, span)
		r.now = nil
	}
	return tok, err
}

// Wait implements [provider.Waiter].
func (r *refreshes) Wait(ctx context.Context) error {
	if w, ok := r.provider.(provider.Waiter); ok {
		return w.Wait(ctx)
	}
	return nil
}

// done ends a refresh's span.
func (r *refreshes) done(d transport.RefreshDone) {
	r.mu.Lock()
	span := r.now
	if len(r.ending) > 0 {
		span, r.ending = r.ending[0], r.ending[1:]
	} else {
		r.now = nil
	}
	r.mu.Unlock()
	if span == nil { // it brought what a call of an earlier refresh has returned late
		_, span = r.tracer.Start(context.Background(), "refresh", trace.WithTimestamp(time.Now().Add(-d.Duration)))
	}
	span.SetAttributes(
		attribute.String("stayauth.reason", string(d.Reason)),
		attribute.String("stayauth.message", d.Message),
		attribute.Int("stayauth.attempts", d.Attempts),
		attribute.Int("stayauth.waiting", d.Waiting),
		attribute.Bool("stayauth.session_ended", d.SessionEnded),
	)
	if d.Err != nil {
		span.SetStatus(codes.Error, d.Err.Error())
	}
	span.End()
}

// waited links a request to the refresh that it waited for, or that it fails for. It is called when
// the wait has ended, and so links to the next refresh where one has begun by then.
func (r *refreshes) waited(w transport.Waited) {
	r.mu.Lock()
	newest := r.newest
	r.mu.Unlock()
	trace.SpanFromContext(w.Context).AddLink(trace.Link{SpanContext: newest,
		Attributes: []attribute.KeyValue{attribute.Float64("stayauth.waited_seconds", w.Duration.Seconds())}})
}
