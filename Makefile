# The commands of this repository; README.md explains them. Everything they need they install themselves, inside the checkout
# or as recorded Debian packages that `make clean` removes again.
.PHONY: demo test test-rack check bench stop clean

demo test test-rack check bench stop clean:
	@cd "$(CURDIR)" && exec python3 -I catalog/stack/bootstrap.py $@
