package keychain

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// A sealed record is a line of text and the bytes that AES-256-GCM made of the record, the random
// nonce first. The line names the format and the key, and is authenticated along with the name that
// the record is stored under.
const (
	header    = "stayauth-keychain 1 "
	discarded = header + "discarded\n"
)

var (
	errNotSealed = errors.New("was not sealed by this package, or by a newer version of it")
	errDamaged   = errors.New("is damaged, or was moved here from another login: it can't be opened")
)

// A key seals the records of one login.
type key struct {
	id   string // its name in the keychain, in the records' first lines
	aead cipher.AEAD
}

// newKey makes a key with its text for the keychain.
func newKey() (k key, text string) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	text = base64.StdEncoding.EncodeToString(raw)
	k, err := parseKey(rand.Text(), text)
	if err != nil {
		panic(err) // it is what was made two lines above
	}
	return k, text
}

// parseKey makes a key of what the keychain holds.
func parseKey(id, text string) (key, error) {
	bad := fmt.Errorf("%w: what it has under the key's name is none", ErrKeyLost)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 { // err would quote it
		return key{}, bad
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, bad
	}
	// A nonce is random. Of 2^32 records under one key two have the same with a chance of 2^-33; a
	// login has one record for each refresh, and two more.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, bad
	}
	return key{id, aead}, nil
}

func (k key) seal(name string, record []byte) []byte {
	line := []byte(header + k.id + "\n")
	return k.aead.Seal(line, nil, record, append(line[:len(line):len(line)], name...))
}

func (k key) open(name string, data []byte) ([]byte, error) {
	line, sealed, _ := bytes.Cut(data, []byte("\n"))
	record, err := k.aead.Open(nil, nil, sealed, append(append(bytes.Clone(line), '\n'), name...))
	if err != nil {
		return nil, errDamaged
	}
	return record, nil
}

// keyID returns the name of the key that a record is sealed with.
func keyID(data []byte) (string, bool) {
	line, _, found := bytes.Cut(data, []byte("\n"))
	id, ok := strings.CutPrefix(string(line), header)
	return id, found && ok && id != ""
}

func isDiscarded(data []byte) bool { return string(data) == discarded }
