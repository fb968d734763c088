package testserver

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
)

// paging is how a client asks for a part of a list.
type paging struct {
	Limit int    `json:"limit"`
	Next  string `json:"next"`
	Prev  string `json:"prev"`
}

const (
	defaultLimit = 25
	maxLimit     = 100
)

// A position is where something stands in a list that is ordered by time. Cursors hold positions and not counts, so a page
// begins where the last one ended even if something was added meanwhile.
type position struct {
	Time int64 `json:"t"` // in nanoseconds since 1970
	Seq  int   `json:"n"` // among those of the same time
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Seq, q.Seq))
}

func (p position) cursor() string {
	b, _ := json.Marshal(p) // two numbers
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string) (position, *failure) {
	var p position
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(b, &p) != nil {
		return p, badInput("next or prev is not a cursor of this list")
	}
	return p, nil
}

// paginate sorts list and returns the page of it that is asked for, and an answer with the cursors of its neighbours: next is
// missing at the end of the list, prev at its beginning.
func paginate[T interface{ position() position }](list []T, newestFirst bool, p paging) ([]T, object, *failure) {
	order := func(a, b position) int {
		if newestFirst {
			a, b = b, a
		}
		return a.compare(b)
	}
	limit := p.Limit
	switch {
	case limit < 0 || limit > maxLimit:
		return nil, nil, badInput("limit must be between 0 and %d", maxLimit)
	case p.Next != "" && p.Prev != "":
		return nil, nil, badInput("next and prev can't be used together")
	case limit == 0:
		limit = defaultLimit
	}
	slices.SortFunc(list, func(a, b T) int { return order(a.position(), b.position()) })

	from, to := 0, min(limit, len(list))
	if p.Next != "" || p.Prev != "" {
		at, f := parseCursor(cmp.Or(p.Next, p.Prev))
		if f != nil {
			return nil, nil, f
		}
		i, found := slices.BinarySearchFunc(list, at, func(v T, at position) int { return order(v.position(), at) })
		if p.Prev != "" {
			from, to = max(0, i-limit), i
		} else {
			if found {
				i++
			}
			from, to = i, min(i+limit, len(list))
		}
	}
	page, ans := list[from:to], object{}
	if len(page) > 0 && to < len(list) {
		ans["next"] = page[len(page)-1].position().cursor()
	}
	if len(page) > 0 && from > 0 {
		ans["prev"] = page[0].position().cursor()
	}
	return page, ans, nil
}

// A sortBy is one entry of a list's sort order.
type sortBy struct {
	Field     string `json:"field"`
	Direction int    `json:"direction"` // -1: the newest first
}

// newestFirst reads a sort order. Lists can be sorted by created_at, the newest first by default.
func newestFirst(order []sortBy) (bool, *failure) {
	if len(order) == 0 {
		return true, nil
	}
	o := order[0]
	if len(order) > 1 || o.Field != "created_at" || o.Direction < -1 || o.Direction > 1 {
		return false, badInput("can only sort by created_at, with a direction of 1 or -1")
	}
	return o.Direction == -1, nil
}
