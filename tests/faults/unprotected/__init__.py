"""The proof that each fault's tests fail without the product's protection: `make unprotected`."""
