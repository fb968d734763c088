package transport

import (
	"fmt"
	"io"
	"log/slog"
)

// Format implements [fmt.Formatter]: a Transport prints its origins. fmt would walk its fields
// otherwise, the current token's header among them.
func (t *Transport) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, t.String()) }

// String returns the origins, and nothing of the token.
func (t *Transport) String() string {
	if t == nil {
		return "<nil>"
	}
	return fmt.Sprintf("transport.Transport{Origins: %q}", t.Origins)
}

// LogValue implements [slog.LogValuer].
func (t *Transport) LogValue() slog.Value { return slog.StringValue(t.String()) }
