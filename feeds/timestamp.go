package feeds

import (
	"errors"
	"strconv"
	"time"
)

// A Timestamp is a time in an answer of the API. The API writes it as a whole number of nanoseconds
// since 1970, and in some older answers in RFC 3339. The zero Timestamp means that the field is
// null or missing.
type Timestamp struct{ time.Time }

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = Timestamp{}
		return nil
	}
	if len(b) > 1 && b[0] == '"' {
		return t.Time.UnmarshalJSON(b)
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return errors.New("feeds: a time that is neither nanoseconds nor RFC 3339")
	}
	t.Time = time.Unix(0, n).UTC()
	return nil
}
