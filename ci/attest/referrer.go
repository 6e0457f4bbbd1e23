package attest

import "time"

// Referrer is what a registry keeps about an image: one blob, with the type and
// the annotations of its manifest.
type Referrer struct {
	Type        string // artifactType of the manifest
	MediaType   string // of the blob
	Data        []byte
	Annotations map[string]string
}

// Refer is the referrer for a bundle, as cosign 3 makes it and looks for it. The
// time is the commit's: the same bundle then has the same manifest.
func Refer(bundle []byte, created time.Time) (Referrer, error) {
	opened, err := Open(bundle)
	if err != nil {
		return Referrer{}, err
	}
	annotations := annotate(created)
	annotations["dev.sigstore.bundle.content"] = "dsse-envelope"
	annotations["dev.sigstore.bundle.predicateType"] = opened.Statement.Type
	return Referrer{Type: MediaType, MediaType: MediaType, Data: bundle, Annotations: annotations}, nil
}

// ReferUnsigned is the referrer for a statement that nobody signed: it informs,
// and proves nothing.
func ReferUnsigned(s Statement, created time.Time) (Referrer, error) {
	data, err := s.Bytes()
	if err != nil {
		return Referrer{}, err
	}
	annotations := annotate(created)
	annotations["in-toto.io/predicate-type"] = s.Type
	return Referrer{Type: PayloadType, MediaType: PayloadType, Data: data, Annotations: annotations}, nil
}

func annotate(created time.Time) map[string]string {
	if created.IsZero() {
		return map[string]string{}
	}
	return map[string]string{"org.opencontainers.image.created": stamp(created)}
}
