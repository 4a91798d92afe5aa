//! Paging, as it is written.

use super::Text;
use super::read::Bare;
use super::scalars::{EXACT, Whole};

tagged! {
    /// How the next page is found; `auto` where nothing is written, but `single_page` for one item:
    /// a path that ends in a value of a parent or of `partitions`, without a `data_selector`.
    ///
    /// `auto` follows what the first response shows, in this order: a `Link` header, a URL in a
    /// member `next…`, a cursor or page number in one, a page number with a number of pages, an
    /// offset with a total. A response that says there is more, but not how, is an error.
    PaginatorSpec, "paginator type";
    Offset(OffsetSpec) = "offset";
    PageNumber(PageNumberSpec) = "page_number";
    Cursor(CursorSpec) = "cursor";
    JsonLink(JsonLinkSpec) = "json_link" | "json_response";
    HeaderLink(HeaderLinkSpec) = "header_link";
    HeaderCursor(HeaderCursorSpec) = "header_cursor";
    SinglePage(Bare) = "single_page";
    Auto(Bare) = "auto";
    => later {}
}

mapping! {
    /// A number of records to skip, advanced by the records received.
    OffsetSpec, "the offset paginator";
    /// The first offset.
    offset: Whole<0, EXACT> = "offset", default 0;
    /// The query parameter of the offset, or the placeholder of the path.
    offset_param: Text = "offset_param", default "offset";
    /// The member of the body that takes the offset, a dotted path; `['a.b']` is a key
    /// with a dot.
    offset_body_path: Text = "offset_body_path";
    /// The header that takes the offset.
    offset_header: Text = "offset_header";
    /// The page size to ask for; without one the parameter named by `limit_param`.
    limit: Whole<1, EXACT> = "limit";
    /// The query parameter of the page size, or the placeholder of the path.
    limit_param: Text = "limit_param", default "limit";
    /// The member of the body that takes the page size, a dotted path; `['a.b']` is a key
    /// with a dot.
    limit_body_path: Text = "limit_body_path";
    /// The header that takes the page size.
    limit_header: Text = "limit_header";
    /// Where the response has the number of all records.
    total_path: Text = "total_path";
    /// The offset at which paging stops, itself not included.
    maximum_offset: Whole<1, EXACT> = "maximum_offset";
    /// Where the response says whether there is more.
    has_more_path: Text = "has_more_path";
    /// An empty page ends paging.
    stop_after_empty_page: bool = "stop_after_empty_page", default true;
    /// A page shorter than the limit ends paging, without a probing request.
    stop_on_short_page: bool = "stop_on_short_page", default false;
    /// An expression of the response that ends paging when it is true.
    stop_condition: Text = "stop_condition";
    later {}
}

mapping! {
    /// A page number, advanced by one.
    PageNumberSpec, "the page_number paginator";
    /// The number of the first page.
    base_page: Whole<0, EXACT> = "base_page" | "start_from_page", default 0;
    /// The page to begin with, by default `base_page`; alone it is the first page as well.
    page: Whole<0, EXACT> = "page";
    /// The query parameter of the page number, or the placeholder of the path.
    page_param: Text = "page_param", default "page";
    /// The member of the body that takes the page number, a dotted path; `['a.b']` is a
    /// key with a dot.
    page_body_path: Text = "page_body_path";
    /// The header that takes the page number.
    page_header: Text = "page_header";
    /// The page size to ask for; without one the parameter named by `limit_param`.
    limit: Whole<1, EXACT> = "limit";
    /// The query parameter of the page size, or the placeholder of the path.
    limit_param: Text = "limit_param", default "limit";
    /// The member of the body that takes the page size, a dotted path; `['a.b']` is a key
    /// with a dot.
    limit_body_path: Text = "limit_body_path";
    /// The header that takes the page size.
    limit_header: Text = "limit_header";
    /// Where the response has the number of all pages.
    total_path: Text = "total_path";
    /// The page number at which paging stops, itself not included.
    maximum_page: Whole<1, EXACT> = "maximum_page";
    /// Where the response says whether there is more.
    has_more_path: Text = "has_more_path";
    /// An empty page ends paging.
    stop_after_empty_page: bool = "stop_after_empty_page", default true;
    /// A page shorter than the limit ends paging, without a probing request.
    stop_on_short_page: bool = "stop_on_short_page", default false;
    /// An expression of the response that ends paging when it is true.
    stop_condition: Text = "stop_condition";
    later {}
}

mapping! {
    /// A value of the response that asks for the next page. A missing, null or empty one ends
    /// paging.
    CursorSpec, "the cursor paginator";
    /// Where the response has the cursor.
    cursor_path: Text = "cursor_path", default "cursors.next";
    /// The cursor as an expression, such as `{{ response.get('next_marker') }}`.
    cursor_value: Text = "cursor_value";
    /// The query parameter of the cursor, or the placeholder of the path. Where neither this nor
    /// another place is named, a cursor that is a URL or a path is followed as a link. A value that
    /// the request gives the same parameter, such as `params: {cursor: "*"}`, is the first cursor.
    cursor_param: Text = "cursor_param", default "cursor";
    /// The member of the body that takes the cursor, a dotted path; `['a.b']` is a key
    /// with a dot.
    cursor_body_path: Text = "cursor_body_path";
    /// The header that takes the cursor.
    cursor_header: Text = "cursor_header";
    /// The page size to ask for; without one the parameter named by `limit_param`.
    limit: Whole<1, EXACT> = "limit";
    /// The query parameter of the page size, or the placeholder of the path.
    limit_param: Text = "limit_param", default "limit";
    /// The member of the body that takes the page size, a dotted path; `['a.b']` is a key
    /// with a dot.
    limit_body_path: Text = "limit_body_path";
    /// The header that takes the page size.
    limit_header: Text = "limit_header";
    /// Where the response says whether there is more.
    has_more_path: Text = "has_more_path";
    /// An empty page ends paging, whatever its cursor.
    stop_after_empty_page: bool = "stop_after_empty_page", default false;
    /// An expression of the response that ends paging when it is true, whatever the cursor; such as
    /// `{{ response.get('next_marker') is none }}`.
    stop_condition: Text = "stop_condition";
    later {}
}

mapping! {
    /// The URL of the next page in the body.
    JsonLinkSpec, "the json_link paginator";
    /// Where the response has the URL.
    next_url_path: Text = "next_url_path", default "next";
    /// The page size to ask for; without one the parameter named by `limit_param`.
    limit: Whole<1, EXACT> = "limit";
    /// The query parameter of the page size, or the placeholder of the path.
    limit_param: Text = "limit_param", default "limit";
    /// The member of the body that takes the page size, a dotted path; `['a.b']` is a key
    /// with a dot.
    limit_body_path: Text = "limit_body_path";
    /// The header that takes the page size.
    limit_header: Text = "limit_header";
    /// Where the response says whether there is more.
    has_more_path: Text = "has_more_path";
    /// An empty page ends paging, whatever follows.
    stop_after_empty_page: bool = "stop_after_empty_page", default false;
    /// An expression of the response that ends paging when it is true, whatever the link.
    stop_condition: Text = "stop_condition";
    later {}
}

mapping! {
    /// The URL of the next page in the `Link` header (RFC 8288).
    HeaderLinkSpec, "the header_link paginator";
    /// The relation of the link.
    links_next_key: Text = "links_next_key", default "next";
    /// The page size to ask for; without one the parameter named by `limit_param`.
    limit: Whole<1, EXACT> = "limit";
    /// The query parameter of the page size, or the placeholder of the path.
    limit_param: Text = "limit_param", default "limit";
    /// The member of the body that takes the page size, a dotted path; `['a.b']` is a key
    /// with a dot.
    limit_body_path: Text = "limit_body_path";
    /// The header that takes the page size.
    limit_header: Text = "limit_header";
    /// Where the response says whether there is more.
    has_more_path: Text = "has_more_path";
    /// An empty page ends paging, whatever follows.
    stop_after_empty_page: bool = "stop_after_empty_page", default false;
    /// An expression of the response that ends paging when it is true, whatever the link.
    stop_condition: Text = "stop_condition";
    later {}
}

mapping! {
    /// A response header that asks for the next page.
    HeaderCursorSpec, "the header_cursor paginator";
    /// The response header that has the cursor.
    cursor_key: Text = "cursor_key", default "next";
    /// The query parameter of the cursor.
    cursor_param: Text = "cursor_param", default "cursor";
    /// The member of the body that takes the cursor, a dotted path; `['a.b']` is a key
    /// with a dot.
    cursor_body_path: Text = "cursor_body_path";
    /// The header that takes the cursor.
    cursor_header: Text = "cursor_header";
    /// The page size to ask for; without one the parameter named by `limit_param`.
    limit: Whole<1, EXACT> = "limit";
    /// The query parameter of the page size, or the placeholder of the path.
    limit_param: Text = "limit_param", default "limit";
    /// The member of the body that takes the page size, a dotted path; `['a.b']` is a key
    /// with a dot.
    limit_body_path: Text = "limit_body_path";
    /// The header that takes the page size.
    limit_header: Text = "limit_header";
    /// Where the response says whether there is more.
    has_more_path: Text = "has_more_path";
    /// An empty page ends paging, whatever follows.
    stop_after_empty_page: bool = "stop_after_empty_page", default false;
    /// An expression of the response that ends paging when it is true, whatever the cursor.
    stop_condition: Text = "stop_condition";
    later {}
}
