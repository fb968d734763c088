package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stayauth/stayauth/provider"
)

// A usersFile is the path of a file with one line for each user: the SHA-256 of the password in
// hex, a space, and the user's id. Lines that begin with # are comments. Of several lines for one
// user the last counts, so a new password is appended.
//
// A fast hash will do because the passwords are made by [printNewUser], with 128 bits of chance in
// each. Passwords that people choose need a slow one, such as crypto/pbkdf2, and a salt.
//
// The file is read anew each time, so a user who is taken out of it gets no more tokens. A file
// that is missing, empty or half written is an error and denies no one.
type usersFile string

type passwordHash [sha256.Size]byte

// read returns all users by their id.
func (f usersFile) read() (map[string]passwordHash, error) {
	data, err := os.ReadFile(string(f))
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(string(data), "\n") {
		return nil, fmt.Errorf("%s is empty, or its last line has no end, as if it were still being written", string(f))
	}
	all := make(map[string]passwordHash)
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		digits, userID, _ := strings.Cut(line, " ")
		sum, err := hex.DecodeString(digits)
		if userID = strings.TrimSpace(userID); err != nil || len(sum) != sha256.Size || checkUserID(userID) != nil {
			return nil, fmt.Errorf("line %d of %s is not a SHA-256 in hex, a space, and a user id: -new-user prints such lines", n, string(f))
		}
		all[userID] = passwordHash(sum)
	}
	return all, nil
}

func (f usersFile) check(_ context.Context, userID, password string) error {
	all, err := f.read()
	if err != nil {
		return err
	}
	want, known := all[userID] // of a user who is not there: zeros, which no password hashes to
	got := sha256.Sum256([]byte(password))
	same := subtle.ConstantTimeCompare(got[:], want[:]) == 1
	switch {
	case !known:
		return fmt.Errorf("%w: no such user", provider.ErrDenied)
	case !same:
		return fmt.Errorf("%w: wrong password", provider.ErrDenied)
	}
	return nil
}

func (f usersFile) exists(_ context.Context, userID string) error {
	all, err := f.read()
	if err != nil {
		return err
	}
	if _, ok := all[userID]; !ok {
		return fmt.Errorf("%w: no such user", provider.ErrDenied)
	}
	return nil
}

// printNewUser makes up a password. The line for the file goes to stdout, to be appended there; the
// password to stderr, to be seen.
func printNewUser(userID string, stdout, stderr io.Writer) error {
	if err := checkUserID(userID); err != nil {
		return err
	}
	password := rand.Text()
	sum := sha256.Sum256([]byte(password))
	fmt.Fprintf(stderr, "The password of %s, shown only this once: %s\n", userID, password)
	_, err := fmt.Fprintf(stdout, "%x %s\n", sum, userID)
	return err
}

func checkUserID(id string) error {
	if id == "" || !utf8.ValidString(id) || strings.TrimSpace(id) != id || strings.ContainsFunc(id, unicode.IsControl) {
		return errors.New("a user id is UTF-8, begins and ends with no space, and has no line breaks or the like")
	}
	return nil
}
