"""What a new service answers with until it is given a source of its own."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Pumasi</title></head>
<body><h1>Your application goes here</h1>
<p>This service works. Give it the address of your source, and it runs that instead.</p>
<p lang="ko">서비스가 정상적으로 동작합니다. 설정에서 소스 주소를 지정하면 그 애플리케이션이 실행됩니다.</p></body></html>
"""


def app(_environ, start_response):
    """The one page, at every address."""
    body = PAGE.encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
