package recipes

import (
	"context"
	"net/http"
	"time"

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
// It sets t's Base and Trace, so call it before the first request.
func Traced(t *transport.Transport, tp trace.TracerProvider) *http.Client {
	span := func(rt http.RoundTripper, name string) http.RoundTripper {
		return otelhttp.NewTransport(rt, otelhttp.WithTracerProvider(tp), otelhttp.WithPropagators(propagation.TraceContext{}),
			otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return name + " " + r.Method }))
	}
	t.Base = span(t.Base, "attempt") // nil is the default transport here, too
	t.Trace = &transport.Trace{RefreshDone: refreshSpan(tp.Tracer("recipes"))}
	return &http.Client{Transport: span(t, "request")}
}

// refreshSpan makes a span of each refresh, when it is done. It is the root of a trace of its own,
// because a refresh belongs to no request.
func refreshSpan(tracer trace.Tracer) func(transport.RefreshDone) {
	return func(d transport.RefreshDone) {
		now := time.Now()
		_, span := tracer.Start(context.Background(), "refresh", trace.WithTimestamp(now.Add(-d.Duration)), trace.WithAttributes(
			attribute.String("stayauth.reason", string(d.Reason)),
			attribute.String("stayauth.message", d.Message),
			attribute.Int("stayauth.attempts", d.Attempts),
			attribute.Int("stayauth.waiting", d.Waiting),
			attribute.Bool("stayauth.session_ended", d.SessionEnded),
		))
		if d.Err != nil { // it never holds a token
			span.SetStatus(codes.Error, d.Err.Error())
		}
		span.End(trace.WithTimestamp(now))
	}
}
