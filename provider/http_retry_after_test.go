package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

func TestHTTPRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
		tests := []struct {
			status      int
			value, date string
			want        time.Duration // less than 0: none
		}{
			{503, "", "", -1},
			{503, "0", "", 0},
			{503, "7", "", 7 * time.Second},
			{429, "7", "", 7 * time.Second},
			{500, "7", "", 7 * time.Second},
			{404, "7", "", 7 * time.Second},
			{307, "7", "", 7 * time.Second},
			{400, "7", "", 7 * time.Second},
			{502, "7", "", 7 * time.Second},
			{504, "7", "", 7 * time.Second},
			{401, "7", "", -1},
			{403, "7", "", 7 * time.Second},
			{200, "7", "", -1},
			{503, "3600", "", time.Hour},
			{503, "3601", "", time.Hour},
			{503, "18446744073709551615", "", time.Hour},
			{503, "99999999999999999999999", "", time.Hour},
			{503, "99999999999999999999999x", "", -1},
			{503, "-7", "", -1},
			{503, "+7", "", -1},
			{503, "7.5", "", -1},
			{503, "7s", "", -1},
			{503, "soon", "", -1},
			{503, "0x7", "", -1},
			{503, at(9 * time.Second), "", 9 * time.Second},
			{503, now.Add(9 * time.Second).Format("Monday, 02-Jan-06 15:04:05 GMT"), "", 9 * time.Second}, // RFC 850
			{503, now.Add(9 * time.Second).Format(time.ANSIC), "", 9 * time.Second},
			{503, at(-9 * time.Second), "", 0},
			{503, at(24 * time.Hour), "", time.Hour},
			{503, "Fri, 31 Dec 9999 23:59:59 GMT", "", time.Hour},
			{503, "Mon, 01 Jan 0001 00:00:00 GMT", "", 0},
			// By the backend's clock, which is half an hour ahead or behind.
			{503, at(30*time.Minute + 9*time.Second), at(30 * time.Minute), 9 * time.Second},
			{503, at(-30*time.Minute + 9*time.Second), at(-30 * time.Minute), 9 * time.Second},
			{503, at(9 * time.Second), "soon", 9 * time.Second},
			{503, "9", at(30 * time.Minute), 9 * time.Second},
		}
		for _, tt := range tests {
			_, err := provider.HTTP{URL: "https://example.com", UserID: "alice",
				Client: answering(tt.status, "", "Retry-After", tt.value, "Date", tt.date)}.Token(t.Context(), provider.Token{})
			if err == nil {
				t.Fatalf("%d: no error", tt.status)
			}
			delay, ok := provider.RetryDelay(err)
			if want := max(tt.want, 0); ok != (tt.want >= 0) || delay != want {
				t.Errorf("%d, Retry-After %q, Date %q: %v %t, want %v", tt.status, tt.value, tt.date, delay, ok, tt.want)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("0", "Sat, 01 Jan 2000 00:00:00 GMT")
	f.Add("99999999999999999999", "")
	f.Add("20000000000000000000A", "")
	f.Add("-1", "")
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:00 GMT")
	f.Add("Friday, 31-Dec-99 23:59:59 GMT", "x")
	f.Add("Fri Dec 31 23:59:59 1999", "")
	f.Add("Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		_, err := provider.HTTP{URL: "https://example.com", UserID: "alice",
			Client: answering(503, "", "Retry-After", value, "Date", date)}.Token(t.Context(), provider.Token{})
		if err == nil || provider.IsPermanent(err) {
			t.Fatalf("503 gives %v", err)
		}
		delay, ok := provider.RetryDelay(err)
		if delay < 0 || delay > time.Hour || !ok && delay != 0 {
			t.Errorf("%q gives %v", value, delay)
		}
		digits := value != "" && strings.Trim(value, "0123456789") == ""
		if digits && !ok {
			t.Errorf("%q gives nothing", value)
		}
		if _, err := http.ParseTime(value); !digits && ok != (err == nil) {
			t.Errorf("%q gives %v, %t", value, delay, ok)
		}
	})
}
