// A tool on the real bbolt, for the interop test beside it:
//
//	bbolt check FILE            runs bbolt's own consistency check
//	bbolt dump FILE             prints every pair as "bucket/hexkey=hexvalue", nested buckets as path elements
//	bbolt write FILE SEED N     N random transactions (puts, deletes, nested buckets); stores no free list
//	bbolt write-sync FILE SEED N   the same, storing the free list
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: bbolt check|dump|write|write-sync FILE [SEED N]"))
	}
	mode, path := os.Args[1], os.Args[2]
	write := mode == "write" || mode == "write-sync"
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: !write, NoFreelistSync: mode == "write", PreLoadFreelist: true})
	if err != nil {
		fail(err)
	}
	switch mode {
	case "check":
		err = db.View(check)
	case "dump":
		out := bufio.NewWriter(os.Stdout)
		err = db.View(func(tx *bolt.Tx) error {
			return tx.ForEach(func(name []byte, b *bolt.Bucket) error { return dump(out, string(name), b) })
		})
		if flushErr := out.Flush(); err == nil {
			err = flushErr
		}
	case "write", "write-sync":
		err = writeRandomly(db, os.Args[3], os.Args[4])
	default:
		err = fmt.Errorf("unknown mode %q", mode)
	}
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		fail(err)
	}
}

func check(tx *bolt.Tx) error {
	count := 0
	for err := range tx.Check() {
		fmt.Println(err)
		count++
	}
	if count > 0 {
		return fmt.Errorf("%d faults", count)
	}
	return nil
}

func dump(out *bufio.Writer, path string, b *bolt.Bucket) error {
	fmt.Fprintf(out, "%s sequence %d\n", path, b.Sequence())
	return b.ForEach(func(k, v []byte) error {
		if child := b.Bucket(k); child != nil {
			return dump(out, path+"/"+string(k), child)
		}
		_, err := fmt.Fprintf(out, "%s/%s=%s\n", path, hex.EncodeToString(k), hex.EncodeToString(v))
		return err
	})
}

func writeRandomly(db *bolt.DB, seedText, countText string) error {
	seed, err := strconv.ParseInt(seedText, 10, 64)
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(countText)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewSource(seed))
	for i := 0; i < count; i++ {
		if err := db.Update(func(tx *bolt.Tx) error { return writeSome(tx, random) }); err != nil {
			return err
		}
	}
	return nil
}

func writeSome(tx *bolt.Tx, random *rand.Rand) error {
	b, err := tx.CreateBucketIfNotExists([]byte(fmt.Sprintf("bucket%d", random.Intn(3))))
	if err != nil {
		return err
	}
	if random.Intn(3) == 0 {
		if b, err = b.CreateBucketIfNotExists([]byte("zz-nested")); err != nil {
			return err
		}
	}
	if _, err := b.NextSequence(); err != nil {
		return err
	}
	if random.Intn(2) == 0 {
		b.FillPercent = 0.9
	}
	for j := random.Intn(300); j > 0; j-- {
		key := []byte(fmt.Sprintf("key-%06d", random.Intn(3000)))
		if random.Intn(3) == 0 {
			err = b.Delete(key)
		} else {
			size := random.Intn(400)
			if random.Intn(50) == 0 {
				size = random.Intn(20000)
			}
			value := make([]byte, size)
			random.Read(value)
			err = b.Put(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
