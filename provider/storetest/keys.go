package storetest

import (
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider/shared"
)

// testKeys checks that keys are told apart which a file system, a separator, a database's collation
// or a fixed width might take for the same.
func testKeys(t *testing.T, s shared.Store) {
	run := newKey()
	var keys []string
	for _, end := range []string{
		"", "/", "//", "/..", "/../" + run, `\`, ":", "%41", "%2f", "{a}", "{b}", "*", "?", " ", "  ", "\t", ".", "..", ".lock", ".tmp",
		".json", "\x00", "\x00\x00", "\n", "\xff", "\xfe", "\ufffd", "'", `"`, ";",
		// Case, also beyond ASCII: the Kelvin sign, the long s, a dotted and a dotless i, both
		// small sigmas.
		"a", "A", "k", "K", "\u212a", "s", "S", "\u017f", "i", "I", "\u0130", "i\u0307", "\u0131", "\u03c3", "\u03c2", "ß", "ss", "\u1e9e",
		// Accents, composed or not, and characters that only look different, or do not show.
		"\u00e9", "e\u0301", "e", "\u00e5", "\u212b", "\u00c5", "\u00b5", "\u03bc", "\ufb01", "fi", "\uff41", "\u200b", "\u00ad", "\u0660", "0",
	} {
		keys = append(keys, run+end)
	}
	for _, start := range []string{"../", "/", "./", "~", "con", "CON", " "} {
		keys = append(keys, start+run)
	}
	// Around the lengths at which keys are cut: a byte for the length, a file's name, an index, 16
	// bits for the length.
	for _, length := range []int{128, 150, 255, 256, 512, 767, 1024, 3072, 4096, 8191, 65_535} {
		stem := run + strings.Repeat("k", length-len(run))
		keys = append(keys, stem, stem+"1", stem+"2")
	}
	versions := make(map[string]uint64)
	for _, key := range keys {
		if record, version, err := s.Load(t.Context(), key); err != nil || version != 0 {
			t.Fatalf("Load of the unused key %s = %s, version %d, %v; want none", shown(key), shown(string(record)), version, err)
		}
		versions[key] = mustSwap(t, s, key, "of "+key, 0)
	}
	for _, key := range keys {
		wantLoad(t, s, key, "of "+key, versions[key])
	}
}
