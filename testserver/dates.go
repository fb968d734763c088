package testserver

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// A date is one as clients send it: RFC 3339 in any zone, with a fraction of any length or none.
// Null leaves it alone. What the server answers is nanoseconds since 1970 instead.
type date struct{ time.Time }

func (d *date) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return err
	}
	// Parse alone would also take an hour of one digit, and a comma for the point.
	t, err := time.Parse(time.RFC3339, *text)
	if err != nil || (*text)[len("2026-01-02T15")] != ':' || strings.Contains(*text, ",") {
		return &json.UnmarshalTypeError{Value: "string", Type: reflect.TypeFor[date]()}
	}
	d.Time = t
	return nil
}

// nanos returns a time as the API writes it, or nil for the zero time.
func nanos(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ns := t.UnixNano()
	return &ns
}
