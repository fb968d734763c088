package linear_test

import (
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider/storetest/internal/linear"
)

func TestCheck(t *testing.T) {
	first := linear.Operation{Kind: linear.Write, Record: "a", Call: 10, Ended: 20}
	second := linear.Operation{Kind: linear.Write, Over: "a", Record: "b", Call: 30, Ended: 40}
	for _, test := range []struct {
		name string
		more []linear.Operation
		says string // of the error; "": there is none
	}{
		{"two writes", nil, ""},
		{"a load that meets the write", []linear.Operation{{Record: "a", Call: 0, Ended: 10}}, ""},
		{"a load of what is yet to come", []linear.Operation{{Record: "a", Call: 0, Ended: 9}}, `"a" has no moment`},
		{"a load of what is no more", []linear.Operation{{Record: "a", Call: 41, Ended: 50}}, `"b" has no moment`},
		{"a load of nothing, too late", []linear.Operation{{Call: 21, Ended: 50}}, `"a" has no moment`},
		{"two loads that see each other's past", []linear.Operation{{Record: "b", Call: 30, Ended: 32}, {Record: "a", Call: 33, Ended: 40}}, `"b" has no moment`},
		{"a load of what never was", []linear.Operation{{Record: "c", Call: 0, Ended: 50}}, `"c" was loaded and never written`},
		{"two writes over one", []linear.Operation{{Kind: linear.Write, Over: "a", Record: "c", Call: 30, Ended: 40}}, `have both replaced "a"`},
		{"a write over what never was", []linear.Operation{{Kind: linear.Write, Over: "x", Record: "c", Call: 30, Ended: 40}}, `"x", which was never there`},
		{"a conflict", []linear.Operation{{Kind: linear.Conflict, Over: "a", Call: 0, Ended: 50}}, ""},
		{"a conflict with what never was", []linear.Operation{{Kind: linear.Conflict, Over: "x", Call: 0, Ended: 50}}, ""},
		{"a conflict with what was there", []linear.Operation{{Kind: linear.Conflict, Over: "a", Call: 21, Ended: 29}}, `"a" has no moment`},
		{"a conflict with what is there", []linear.Operation{{Kind: linear.Conflict, Over: "b", Call: 41, Ended: 50}}, `"b" has no moment`},
		{"a conflict with nothing, while there is nothing", []linear.Operation{{Kind: linear.Conflict, Call: 0, Ended: 9}}, "a swap over none"},
		{"a conflict that says when the write was", []linear.Operation{
			{Kind: linear.Conflict, Over: "a", Call: 15, Ended: 25}, {Record: "a", Call: 16, Ended: 17},
		}, ""},
		{"one that says it was after a load of it", []linear.Operation{
			{Kind: linear.Conflict, Over: "a", Call: 15, Ended: 25}, {Record: "a", Call: 13, Ended: 14},
		}, `"a" has no moment`},
	} {
		err := linear.Check(append(test.more, second, first))
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want %q", test.name, err, test.says)
		}
	}
}
